"""Who signs in, and with which key, by what the provider says of them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpanel_billing.console.oidc.errors import SignInRefusedError
from mpanel_billing.console.visit import is_person
from mpanel_billing.console.words import say

_NAMES = ("name", "preferred_username", "email", "sub")


def name_of(claims: Mapping[str, Any]) -> str:
    """Return the name for the audit log; SignInRefusedError if there is none that it can have."""
    for name in _NAMES:
        said = claims.get(name)
        if isinstance(said, str) and is_person(said):
            return said.strip()
    raise SignInRefusedError(say("refusal.oidc_no_name"))


def key_of(groups: Sequence[str], keys: Mapping[str, str]) -> str:
    """Return the id of the key of a person in these groups: that of the first group in `keys`.

    SignInRefusedError if none of them may enter.
    """
    for group, key_id in keys.items():
        if group in groups:
            return key_id
    raise SignInRefusedError(say("refusal.oidc_no_group"))


def groups_of(claims: Mapping[str, Any], claim: str) -> list[str] | None:
    """Return the groups that claims name; None if they say nothing about it."""
    said = claims.get(claim)
    if said is None:
        return None
    named = said if isinstance(said, list) else [said]
    return [one for one in named if isinstance(one, str)]
