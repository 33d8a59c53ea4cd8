"""The environment: the variables that are set, misspelt or contradictory."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from mpanel_billing.doctor.finding import Finding, failed, ok, some, warning
from mpanel_billing.settings import Settings

FIELDS: Mapping[str, str] = {
    (field.alias or name).upper(): name for name, field in Settings.model_fields.items()
}
"""Each variable and its settings field."""

_SIMILAR = 0.85
_ADVICE = "see .env.example"


def describe_faults(message: str) -> list[Finding]:
    """Turn a SettingsError's message, which has one line per variable, into findings."""
    parts = (line.partition(": ") for line in message.splitlines())
    return [
        failed(name, detail.removesuffix(f"; {_ADVICE}"), _ADVICE)
        if detail
        else failed("settings", name, _ADVICE)
        for name, _, detail in parts
    ]


def check_variables(settings: Settings, env_file: Path = Path(".env")) -> list[Finding]:
    """Check settings that are valid one by one."""
    return [
        *_list_set(settings),
        *_find_contradictions(settings),
        *find_misspelt(dotenv_values(env_file)),
    ]


def find_misspelt(names: Iterable[str]) -> Iterator[Finding]:
    """Warn about names that are almost ours; any others may belong to another program."""
    for name in names:
        similar = get_close_matches(name, FIELDS, n=1, cutoff=_SIMILAR)
        if name not in FIELDS and similar:
            yield warning(
                name, "is not a setting, so it has no effect", f"did you mean {similar[0]}?"
            )


def _list_set(settings: Settings) -> Iterator[Finding]:
    given = [name for name, field in FIELDS.items() if field in settings.model_fields_set]
    for name in given:
        yield ok(name, _shown(getattr(settings, FIELDS[name])))
    yield ok("other settings", f"{len(FIELDS) - len(given)} have their defaults")


def _shown(value: object) -> str:
    """Format a value; of a secret show only that it is set."""
    if isinstance(value, SecretStr):
        return "is set"
    if isinstance(value, Mapping):
        return some([str(key) for key in value]) or "none"
    if isinstance(value, tuple):
        secret = any(isinstance(item, SecretStr) for item in value)
        return f"{len(value)} set" if secret else ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _find_contradictions(settings: Settings) -> Iterator[Finding]:
    if len(settings.stripe_webhook_secret) > 1:
        yield warning(
            "webhook secret",
            f"{len(settings.stripe_webhook_secret)} are accepted",
            "once the secret has been rolled, keep only the new one",
        )
    if settings.billing_api_keys:
        yield warning(
            "BILLING_API_KEYS",
            "may change, refund and sign in for any customer, and never expire",
            "create keys with only the scopes that are used (docs/access.md), and unset it",
        )
    if settings.livemode:
        yield from _find_unfit_for_live(settings)


def _find_unfit_for_live(settings: Settings) -> Iterator[Finding]:
    """Find what is acceptable in test mode but not in live mode."""
    if settings.stripe_api_base is not None:
        yield failed(
            "live mode",
            f"the live key goes to {settings.stripe_api_base.host}, not to Stripe",
            "unset STRIPE_API_BASE",
        )
    if settings.app_url.scheme != "https":
        yield failed("live mode", "APP_URL is not https://", "use https://: buyers return to it")
    if settings.demo:
        yield failed("live mode", "the demo storefront is enabled", "unset MPANEL_BILLING_DEMO")
    if not settings.provisioning_services:
        yield warning(
            "live mode",
            "PROVISIONING_SERVICES is empty: paid services are only logged, not created",
            "name the services that host the accounts (docs/provisioning.md)",
        )
