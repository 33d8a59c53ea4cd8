"""Domains at a registrar: ordered once, for money, and as the registrar says from then on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.names import read_name
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.registrar import repository
from mpanel_billing.provisioning.registrar.run import see_to_domain
from tests.commands import run_command
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.domain_shop import KEY, Shop, hand_in, open_shop
from tests.provisioning.reference_registrar import YEAR, Charge, Habit, HeldName
from tests.service import make_settings


@pytest.fixture
async def shop(system: ProvisioningSystem) -> AsyncIterator[Shop]:
    async with open_shop(system) as opened:
        yield opened


async def test_a_domain_is_registered_once_it_is_paid_and_expires_as_the_registrar_says(
    shop: Shop,
) -> None:
    await shop.sell("register")
    row = await shop.row()
    assert (row["state"], row["driver"]) == ("paid", "http")
    create = shop.system.world.calls[-1]
    assert create.details["domainMode"] == "existing", "exactly one driver sees to a domain"
    assert create.details["furtherDomains"] == []

    row = await shop.look()
    held = shop.registrar.held["ada.com"]
    assert row["state"] == "active"
    assert row["registered_at"] is not None
    assert row["expires_at"] == held.expires_at
    assert held.registrant["phone"] == "+49301234567"
    assert (held.auto_renew, held.name_servers) == (False, ["ns1.host.test", "ns2.host.test"])
    assert row["next_attempt_at"] > datetime.now(UTC)
    await shop.look()
    assert shop.registrar.ledger == [Charge("register", "ada.com", 1)]


@pytest.mark.parametrize(
    "habit", ["503", "cut", "429", "503_after", "cut_after", "garbage_after", "forget"]
)
async def test_an_order_whose_outcome_is_unknown_is_inspected_before_it_is_repeated(
    shop: Shop, habit: Habit
) -> None:
    await shop.sell("register")
    shop.registrar.habits.append(habit)
    row = await shop.look()
    assert (row["state"], row["pending_action"], row["attempts"]) == ("registering", "register", 1)
    row = await shop.look()
    assert (row["state"], row["pending_action"], row["last_error"]) == ("active", None, None)
    assert shop.registrar.ledger == [Charge("register", "ada.com", 1)]
    keys = await shop.system.pool.fetch(
        "SELECT DISTINCT idempotency_key FROM billing_registrar_calls"
    )
    assert len(keys) == 1


async def test_a_registrar_that_cannot_be_asked_is_sent_nothing(shop: Shop) -> None:
    await shop.sell("register")
    shop.registrar.is_down = True
    row = await shop.look()
    assert (row["state"], shop.registrar.orders) == ("paid", [])
    assert row["last_error"] == "it cannot be inspected: HTTP 503"
    shop.registrar.is_down = False
    assert (await shop.look())["state"] == "active"


async def test_an_order_is_waited_for_for_days_and_not_sent_again(shop: Shop) -> None:
    shop.registrar.is_slow = True
    await shop.sell("register")
    for _ in range(5):
        row = await shop.look()
        assert (row["state"], row["is_confirmed"]) == ("registering", True)
    shop.registrar.settle()
    assert (await shop.look())["state"] == "active"
    assert shop.registrar.ledger == [Charge("register", "ada.com", 1)]


async def test_an_order_that_the_registrar_has_lost_waits_for_a_person(shop: Shop) -> None:
    shop.registrar.is_slow = True
    await shop.sell("register")
    await shop.look()
    del shop.registrar.held["ada.com"]
    row = await shop.look()
    assert row["state"] == "registering"
    assert "does not know it now" in row["last_error"]
    assert len(shop.registrar.orders) == 1


async def test_a_name_that_went_in_the_meantime_is_lost(shop: Shop) -> None:
    shop.registrar.taken["ada.com"] = "theirs"
    await shop.sell("register")
    row = await shop.look()
    assert (row["state"], row["next_attempt_at"]) == ("failed", None)
    assert "already registered" in row["last_error"]
    assert shop.registrar.ledger == []
    assert await shop.system.troubles() == ["domain_failed"]
    await shop.system.pool.execute("UPDATE billing_domains SET given_back_at = now()")
    assert await shop.system.troubles() == []


async def test_a_name_that_the_registry_refuses_after_days_is_lost(shop: Shop) -> None:
    shop.registrar.is_slow = True
    await shop.sell("register")
    await shop.look()
    shop.registrar.settle(refused={"code": "domain_unavailable", "message": "too late"})
    assert (await shop.look())["state"] == "failed"


async def test_a_transfer_waits_for_the_right_auth_code_which_is_gone_after_its_use(
    shop: Shop,
) -> None:
    shop.registrar.taken["ada.com"] = "right"
    await shop.sell("transfer")
    row = await shop.look()
    assert (row["state"], row["needs"], shop.registrar.orders) == ("paid", ["auth_code"], [])
    assert await shop.system.troubles() == ["domain_needs"]

    assert await hand_in(shop, "wrong")
    row = await shop.look()
    assert (row["state"], row["needs"]) == ("transferring", ["auth_code"])
    assert "invalid authorization" in row["last_error"]
    assert row["auth_code"] is None
    await shop.look()
    assert len(shop.registrar.orders) == 1, "a wrong code is sent once"

    shop.registrar.habits.append("cut_after")
    assert await hand_in(shop, "right")
    row = await shop.look()
    assert row["auth_code"] is not None
    assert "right" not in str(dict(row))
    row = await shop.look()
    assert (row["state"], row["auth_code"], row["needs"]) == ("active", None, [])
    assert shop.registrar.held["ada.com"].name_servers == ["ns1.host.test", "ns2.host.test"]
    assert shop.registrar.ledger == [Charge("transfer", "ada.com", 1)]
    logged = await shop.system.pool.fetch("SELECT * FROM billing_registrar_calls")
    assert not [call for call in logged if "right" in str(call["request"])]
    assert not await hand_in(shop, "again")


async def test_whichever_is_possible_is_ordered(shop: Shop) -> None:
    await shop.sell("new-or-transfer")
    assert (await shop.look())["state"] == "active"
    assert shop.registrar.ledger == [Charge("register", "ada.com", 1)]


async def test_of_a_name_that_is_taken_whichever_is_possible_is_its_transfer(shop: Shop) -> None:
    shop.registrar.taken["ada.com"] = "right"
    await shop.sell("new-or-transfer")
    row = await shop.look()
    assert (row["state"], row["needs"], shop.registrar.orders) == ("paid", ["auth_code"], [])
    assert await hand_in(shop, "right")
    assert (await shop.look())["state"] == "active"
    assert shop.registrar.ledger == [Charge("transfer", "ada.com", 1)]


async def test_what_a_registrar_needs_and_nobody_has_told_is_asked_for(shop: Shop) -> None:
    await shop.sell("register", phone="call me", postal_code=None)
    row = await shop.look()
    assert (row["state"], row["needs"]) == ("paid", ["phone", "postcode"])
    await shop.system.pool.execute("UPDATE customers SET phone = '+49301234567', postal_code = '1'")
    assert (await shop.look())["state"] == "active"


async def test_what_the_registrar_does_not_accept_is_named_and_not_sent_again(shop: Shop) -> None:
    shop.registrar.wants = "postcode"
    await shop.sell("register")
    row = await shop.look()
    assert (row["state"], row["needs"], row["stopped_at"] is None) == (
        "registering",
        ["postcode"],
        False,
    )
    await shop.look()
    assert len(shop.registrar.orders) == 1
    shop.registrar.wants = None
    async with acquired(shop.system.pool) as conn:
        assert await repository.look_again(conn, read_name("ada.com"))
    assert (await shop.look())["state"] == "active"


async def test_a_refusal_is_a_persons_until_the_registrar_has_the_name_after_all(
    shop: Shop,
) -> None:
    shop.registrar.habits.append("422")
    await shop.sell("register")
    row = await shop.look()
    assert (row["state"], row["last_error"]) == ("registering", "HTTP 422: not today")
    assert row["stopped_at"] is not None
    assert await shop.system.troubles() == ["domain_stuck"]
    await shop.look()
    assert len(shop.registrar.orders) == 1
    id_ = str(row["id"])
    shop.registrar.held["ada.com"] = HeldName(
        "ada.com", id_, "active", datetime.now(UTC) + YEAR, {}, row["name_servers"]
    )
    assert (await shop.look())["state"] == "active"
    assert await shop.system.troubles() == []


async def test_a_registrar_that_is_down_for_long_is_trouble(shop: Shop) -> None:
    await shop.sell("register")
    shop.registrar.is_down = True
    for _ in range(4):
        await shop.look()
    assert await shop.system.troubles() == []
    await shop.look()
    assert await shop.system.troubles() == ["domain_stuck"]


async def test_support_hands_in_codes_retries_gives_up_and_settles(
    shop: Shop, database_url: str
) -> None:
    shop.registrar.taken["ada.com"] = "right"
    await shop.sell("transfer")
    await shop.look()
    shown = await run_command(database_url, "domains", "show", "ada.com")
    assert "the registrar still needs: auth_code" in shown.out
    assert (await run_command(database_url, "domains", "settled", "ada.com")).status == 1
    retried = await run_command(database_url, "domains", "retry", "ada.com")
    assert (retried.status, retried.out) == (0, "the worker looks at it now\n")
    given_up = await run_command(
        database_url, "domains", "give-up", "ada.com", "--reason", "the buyer has no code"
    )
    assert given_up.status == 0, given_up.out
    row = await shop.row()
    assert (row["state"], row["last_error"]) == ("failed", "the buyer has no code")
    assert (await run_command(database_url, "domains", "retry", "ada.com")).status == 1
    settled = await run_command(database_url, "domains", "settled", "ada.com")
    assert settled.status == 0, settled.out
    assert await shop.system.troubles() == []


async def test_a_name_that_may_be_ordered_at_the_registry_cannot_be_given_up(
    shop: Shop, database_url: str
) -> None:
    shop.registrar.habits.append("cut_after")
    await shop.sell("register")
    await shop.look()
    words = ("domains", "give-up", "ada.com", "--reason", "too slow")
    assert (await run_command(database_url, *words)).status == 1
    assert (await shop.look())["state"] == "active"


async def test_the_registrars_own_renewal_is_turned_off(shop: Shop) -> None:
    shop.registrar.keeps_renewing = True
    await shop.sell("register")
    assert (await shop.look())["state"] == "active"
    assert not shop.registrar.held["ada.com"].auto_renew
    shop.registrar.held["ada.com"].auto_renew = True
    await shop.look()
    assert not shop.registrar.held["ada.com"].auto_renew


async def test_what_others_do_at_the_registrar_is_seen(shop: Shop, database_url: str) -> None:
    await shop.sell("register")
    await shop.look()
    held = shop.registrar.held["ada.com"]
    held.expires_at += YEAR
    assert (await shop.look())["expires_at"] == held.expires_at
    held.expires_at = datetime.now(UTC) - timedelta(hours=1)
    assert (await shop.look())["state"] == "expired"
    held.status = "redemption"
    assert (await shop.look())["state"] == "redemption"
    held.status, held.expires_at = "active", datetime.now(UTC) + YEAR
    assert (await shop.look())["state"] == "active"
    held.status = "transferred_out"
    assert (await shop.look())["state"] == "transferred_out"
    assert await shop.system.troubles() == ["domain_lost"]
    held.status = "active"
    assert (await shop.look())["state"] == "active"
    del shop.registrar.held["ada.com"]
    row = await shop.look()
    assert (row["state"], row["last_error"]) == (
        "transferred_out",
        "the registrar does not have it any more",
    )
    moved = await run_command(database_url, "domains", "moved", "ada.com")
    assert moved.status == 0, moved.out
    row = await shop.row()
    assert (row["state"], row["mode"], row["driver"]) == ("active", "existing", None)
    assert await shop.system.troubles() == []


async def renew(shop: Shop) -> datetime:
    row = await shop.row()
    paid_until: datetime = row["expires_at"] + YEAR
    async with acquired(shop.system.pool) as conn:
        assert await repository.order_renewal(conn, row["id"], paid_until)
        assert await repository.order_renewal(conn, row["id"], paid_until) is None
    return paid_until


async def test_an_operator_has_a_year_renewed_that_was_paid_by_hand(
    shop: Shop, database_url: str
) -> None:
    await shop.sell("register")
    row = await shop.look()
    day = f"{row['expires_at'] + YEAR:%Y-%m-%d}"
    ordered = await run_command(database_url, "domains", "renew", "ada.com", "--paid-until", day)
    assert ordered.status == 0, ordered.out
    again = await run_command(database_url, "domains", "renew", "ada.com", "--paid-until", day)
    assert again.status == 1
    assert "is paid for as long already" in again.err
    renewed = await shop.look()
    assert (renewed["state"], renewed["expires_at"] > row["expires_at"]) == ("active", True)


@pytest.mark.parametrize("habit", ["503", "cut_after", "forget", None])
async def test_a_year_that_is_paid_for_is_renewed_once(shop: Shop, habit: Habit | None) -> None:
    await shop.sell("register")
    await shop.look()
    paid_until = await renew(shop)
    if habit:
        shop.registrar.habits.append(habit)
        assert (await shop.look())["state"] == "renewing"
    row = await shop.look()
    assert (row["state"], row["expires_at"]) == ("active", paid_until)
    assert [charge.action for charge in shop.registrar.ledger] == ["register", "renew"]


async def test_a_year_that_somebody_has_renewed_already_is_not_bought_again(shop: Shop) -> None:
    await shop.sell("register")
    await shop.look()
    await renew(shop)
    shop.registrar.held["ada.com"].expires_at += YEAR
    assert (await shop.look())["state"] == "active"
    assert [charge.action for charge in shop.registrar.ledger] == ["register"]


async def test_a_name_that_the_account_has_for_somebody_else_is_a_persons(shop: Shop) -> None:
    await shop.sell("register")
    await shop.look()
    await shop.system.pool.execute("UPDATE billing_domains SET state = 'released'")
    await shop.system.pool.execute(
        "INSERT INTO billing_domains (name, unicode_name, skeleton, registrable, mode, state,"
        " customer_id, held_at, paid_at, driver, next_attempt_at)"
        " SELECT name, unicode_name, skeleton, registrable, mode, 'paid',"
        " customer_id, now(), now(), driver, now() FROM billing_domains"
    )
    id_ = await shop.system.pool.fetchval("SELECT id FROM billing_domains WHERE state = 'paid'")
    await see_to_domain(shop.registering, id_)
    row = await shop.system.inbox.row("SELECT * FROM billing_domains WHERE id = $1", id_)
    assert (row["state"], row["stopped_at"] is None) == ("paid", False)
    assert "not for this order" in row["last_error"]
    assert len(shop.registrar.ledger) == 1


async def test_a_run_that_dies_at_any_step_is_continued_without_a_second_order(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ("take_domain", "begin_command", "log_call", "store_domain", "finish_domain")
    originals = {step: getattr(repository, step) for step in steps}
    for name in steps:
        monkeypatch.setattr(repository, name, partial(_counted, originals[name]))
    await shop.sell("transfer")
    shop.registrar.taken["ada.com"] = "right"
    assert await hand_in(shop, "right")
    die_at = 1
    while True:
        _Dying.left = die_at
        row = await shop.row()
        await shop.system.pool.execute("UPDATE billing_domains SET next_attempt_at = now()")
        try:
            await see_to_domain(shop.registering, row["id"])
        except _Dying:
            # the process is dead: what it would have done at its end is not done
            await shop.system.pool.execute(
                "UPDATE billing_domains SET leased_until = now() - interval '1 hour'"
                " WHERE lease_token IS NOT NULL"
            )
            die_at += 1
        else:
            break
    assert die_at > 4
    _Dying.left = 0
    assert (await shop.row())["state"] == "active"
    assert shop.registrar.ledger == [Charge("transfer", "ada.com", 1)]


class _Dying(Exception):  # noqa: N818 - it is no error of the program
    """The process dies here, after so many more steps."""

    left = 0


async def _counted(step: Callable[..., Awaitable[Any]], *args: Any, **more: Any) -> Any:
    if _Dying.left < 0:
        raise _Dying
    _Dying.left -= 1
    if _Dying.left == 0:
        _Dying.left = -1
        raise _Dying
    return await step(*args, **more)


async def test_domains_are_only_logged_by_a_driver_that_registers_nothing(
    shop: Shop,
) -> None:
    settings = make_settings(
        provisioning_services={"domain": {"driver": "log"}}, encryption_keys=(KEY,)
    )
    async with open_drivers(settings) as opened:
        drivers = replace(shop.registering.drivers, registrar=opened.registrar)
        shop.registering = replace(shop.registering, drivers=drivers)
        shop.system.provisioning = replace(shop.system.provisioning, drivers=drivers)
        await shop.sell("register")
        row = await shop.look()
        assert (row["state"], row["driver"]) == ("active", "log")
        assert row["expires_at"] > datetime.now(UTC)
        paid_until = await renew(shop)
        row = await shop.look()
        assert (row["state"], row["expires_at"]) == ("active", paid_until)


async def test_a_domain_stays_with_the_driver_that_has_it(shop: Shop) -> None:
    await shop.sell("register")
    await shop.look()
    drivers = replace(shop.registering.drivers, registrar=None)
    shop.registering = replace(shop.registering, drivers=drivers)
    row = await shop.look()
    assert row["state"] == "active"
    assert "is not configured" in row["last_error"]


async def test_what_the_hosting_service_was_told_of_stays_with_it(
    shop: Shop,
) -> None:
    registrar = shop.system.provisioning.drivers.registrar
    drivers = replace(shop.system.provisioning.drivers, registrar=None)
    shop.system.provisioning = replace(shop.system.provisioning, drivers=drivers)
    shop.system.world.misbehave("hosting", "fail_after")
    await shop.order("register")
    await shop.system.deliver_invoice("paid", total=3899)
    assert not (await shop.system.run()).done

    drivers = replace(drivers, registrar=registrar)
    shop.system.provisioning = replace(shop.system.provisioning, drivers=drivers)
    await shop.system.make_due()
    assert (await shop.system.run()).done
    row = await shop.row()
    assert (row["state"], row["driver"]) == ("active", None)
