"""Identifying keys, with the database; time is a number that the test moves."""

import hashlib
from dataclasses import dataclass

import pytest

from mpanel_billing.access.key import SCOPES, Scope, include_scope
from mpanel_billing.access.keyring import LOOK_UP_SECONDS, KeyRing, UnknownKeyError
from mpanel_billing.access.keys import revoke_key
from mpanel_billing.database.pool import Pool
from tests.access.conftest import GRACE, Issue
from tests.service import make_settings

LAST_USE = "SELECT last_used_at FROM billing_api_keys"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(pool: Pool, clock: Clock) -> KeyRing:
    return KeyRing(pool, make_settings(), clock)


def test_only_the_scope_of_a_whole_area_includes_others() -> None:
    allowed = {
        (given, wanted) for given in SCOPES for wanted in SCOPES if include_scope([given], wanted)
    }
    same = {(scope, scope) for scope in SCOPES}
    assert allowed - same == {
        (area, scope)
        for area in ("admin", "billing")
        for scope in SCOPES
        if scope.startswith(f"{area}:")
    }


async def test_a_key_names_its_holder_and_what_it_opens(ring: KeyRing, issue: Issue) -> None:
    key = await issue("billing", "admin:read", name="panel")
    holder = await ring.identify(key.text)
    assert (holder.name, holder.key_id) == ("panel", key.id)
    assert holder.scopes == {"billing", "admin:read"}


async def test_a_revoked_key_opens_nothing_once_it_is_looked_up_again(
    ring: KeyRing, clock: Clock, issue: Issue, pool: Pool
) -> None:
    key = await issue("admin")
    await ring.identify(key.text)
    await revoke_key(pool, GRACE, "admin")
    clock.now = LOOK_UP_SECONDS - 0.1
    await ring.identify(key.text)
    clock.now = LOOK_UP_SECONDS
    with pytest.raises(UnknownKeyError, match=f"{key.id} is revoked"):
        await ring.identify(key.text)
    assert not ring.has_proven(key.text)


async def test_a_key_expires(ring: KeyRing, issue: Issue, pool: Pool) -> None:
    key = await issue("admin")
    await pool.execute("UPDATE billing_api_keys SET expires_at = now()")
    with pytest.raises(UnknownKeyError, match=f"{key.id} has expired"):
        await ring.identify(key.text)


async def test_the_last_use_is_written_at_most_once_a_minute(
    ring: KeyRing, clock: Clock, issue: Issue, pool: Pool
) -> None:
    key = await issue("admin")
    assert await pool.fetchval(LAST_USE) is None
    await ring.identify(key.text)
    first = await pool.fetchval(LAST_USE)
    clock.now += LOOK_UP_SECONDS
    await ring.identify(key.text)
    assert await pool.fetchval(LAST_USE) == first is not None
    await pool.execute("UPDATE billing_api_keys SET last_used_at = now() - interval '61 seconds'")
    clock.now += LOOK_UP_SECONDS
    await ring.identify(key.text)
    assert await pool.fetchval(LAST_USE) > first


async def test_another_secret_under_a_known_id_opens_nothing_and_does_not_count_as_a_use(
    ring: KeyRing, issue: Issue, pool: Pool
) -> None:
    key = await issue("admin")
    await pool.execute("UPDATE billing_api_keys SET key_hash = sha256('another')")
    with pytest.raises(UnknownKeyError, match="Unknown key"):
        await ring.identify(key.text)
    assert await pool.fetchval(LAST_USE) is None


@pytest.mark.parametrize("hashed", [False, True], ids=["plain", "hashed"])
async def test_the_settings_keys_are_named_by_their_place(pool: Pool, hashed: bool) -> None:
    def written(key: str) -> str:
        return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}" if hashed else key

    first, second, both = "o" * 32, "p" * 32, "q" * 32
    ring = KeyRing(
        pool,
        make_settings(
            admin_api_keys=f"{written(first)},{written(both)}",
            billing_api_keys=f"{written(second)},{written(both)}",
        ),
    )
    named: dict[str, tuple[str, set[Scope]]] = {
        first: ("settings:admin:1", {"admin"}),
        second: ("settings:billing:1", {"billing"}),
        both: ("settings:admin:2", {"admin", "billing"}),
    }
    for key, (name, scopes) in named.items():
        holder = await ring.identify(key)
        assert (holder.name, holder.scopes, holder.key_id) == (name, scopes, None)


async def test_the_hash_in_a_setting_is_no_key_itself(pool: Pool) -> None:
    written = f"sha256:{hashlib.sha256(b'k' * 32).hexdigest()}"
    ring = KeyRing(pool, make_settings(admin_api_keys=written))
    for given in (written, written.removeprefix("sha256:")):
        with pytest.raises(UnknownKeyError):
            await ring.identify(given)
