"""Set-up: what the doctor finds, and how old secrets are."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.console import examining
from mpanel_billing.messages import receivers
from tests.console.conftest import Console

TEST = Actor("test")


async def test_faults_come_first_and_everything_has_its_place(console: Console) -> None:
    shown = await console.open("/console/set-up")
    assert shown.status == 200
    for said in (
        "Stripe SDK",
        "PostgreSQL",
        "not needed: the sandbox",
        "used up Stripe's attempts",
    ):
        assert said in shown.text, said
    assert shown.text.index("What to see to") < shown.text.index("Versions and database")
    assert "catalogue matches the database" in shown.text
    assert "sk_test" not in shown.html


async def test_secrets_have_the_age_that_is_known(console: Console) -> None:
    pool = console.service.pool
    await create_key(pool, TEST, name="panel-backend", scopes=("billing:read",))
    secret = await receivers.add(
        pool, TEST, name="mpanel", url="https://a.test/hook", types=("*",), livemode=False
    )
    await pool.execute(
        "UPDATE billing_receivers SET created_at = '2020-01-02';"
        "UPDATE billing_api_keys SET created_at = '2021-02-03'"
    )
    shown = await console.open("/console/set-up")
    assert "secret of a receiver mpanel 2020-01-02" in shown.text
    assert "API key panel-backend 2021-02-03" in shown.text
    assert secret not in shown.html


async def test_a_rolled_secret_is_as_old_as_its_roll(console: Console) -> None:
    pool = console.service.pool
    await receivers.add(
        pool, TEST, name="mpanel", url="https://a.test/hook", types=("*",), livemode=False
    )
    await pool.execute("UPDATE billing_receivers SET created_at = '2020-01-02'")
    await receivers.roll_secret(pool, TEST, "mpanel")
    shown = await console.open("/console/set-up")
    today = datetime.now(UTC).date()
    days = {f"{day:%Y-%m-%d}" for day in (today, today + timedelta(days=1))}
    assert any(f"receiver mpanel {day}" in shown.text for day in days)


async def test_two_who_look_at_once_and_again_have_stripe_asked_once(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, examine = [], examining._examine

    async def counted(app):
        runs.append(app)
        return await examine(app)

    monkeypatch.setattr(examining, "_examine", counted)
    opened = await asyncio.gather(*(console.open("/console/set-up") for _ in range(3)))
    assert {shown.status for shown in opened} == {200}
    assert len(runs) == 1
