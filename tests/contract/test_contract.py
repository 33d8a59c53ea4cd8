"""Asks a test account what no documentation settles: a real one by `make test-contract`.

Without a key the sandbox is asked itself, so that the questions are known to work. With a key,
STRIPE_API_BASE asks another address than Stripe's, such as that of a sandbox that runs already.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import stripe

from stripe_sandbox import Choices, SandboxConfig, running_sandbox
from tests.contract.account import Account, LiveKeyError, check_key
from tests.contract.questions import QUESTIONS
from tests.stripe_sandbox.conftest import connect, disconnect

KEY = os.environ.get("STRIPE_CONTRACT_KEY", "")
BASE = os.environ.get("STRIPE_API_BASE", "https://api.stripe.com")
PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def unconfirmed() -> list[list[str]]:
    """Return the cells of the rows of the unconfirmed."""
    text = PAGE.read_text().partition("## Unconfirmed")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines[1:]]


def other_way(switch: str) -> Choices:
    """Return the choices of a switch that a row names, such as `--ended-flag cleared`."""
    option, _, way = switch.strip("`").partition(" ")
    if option == "--no-upcoming-ids":
        return Choices(upcoming_invoice_ids=False)
    return Choices(**{option.removeprefix("--").replace("-", "_"): way})  # type: ignore[arg-type]


OTHER_WAYS = {row[0]: other_way(row[-2]) for row in unconfirmed() if row[-1] == "yes" and row[-2]}
"""The rows that are asked and have a switch, with the other way of it."""


@pytest.fixture
async def api() -> AsyncIterator[stripe.StripeClient]:
    if KEY:
        key, client = check_key(KEY), stripe.AIOHTTPClient()
        yield stripe.StripeClient(
            key, http_client=client, max_network_retries=3, base_addresses={"api": BASE}
        )
        await client.close_async()
        return
    async with running_sandbox(SandboxConfig(seed=1)) as sandbox:
        asked = await connect(sandbox.url)
        yield asked
        await disconnect(asked)


@asynccontextmanager
async def stocked(api: stripe.StripeClient) -> AsyncIterator[Account]:
    """Stock an account during the block."""
    account = Account(api)
    await account.stock()
    try:
        yield account
    finally:
        await account.clear()


@pytest.fixture
async def account(api: stripe.StripeClient) -> AsyncIterator[Account]:
    async with stocked(api) as account:
        yield account


@pytest.mark.skipif(bool(KEY), reason="each question is asked alone of a real account")
async def test_the_sandbox_answers_every_question_as_its_page_says(account):
    answers = {row: await ask(account) for row, ask in QUESTIONS.items()}
    assert {row: answer for row, answer in answers.items() if answer} == {}


@pytest.mark.skipif(not KEY, reason="STRIPE_CONTRACT_KEY is not set: no real account to ask")
@pytest.mark.parametrize("row", QUESTIONS if KEY else ["every question"])
async def test_a_real_account_does_as_the_sandbox_assumes(account, row):
    answer = await QUESTIONS[row](account)
    assert answer is None, f"{row}: {answer}"


@pytest.mark.skipif(bool(KEY), reason="a real account has no switches")
@pytest.mark.parametrize("row", OTHER_WAYS)
async def test_a_switch_answers_its_question_the_other_way(row):
    async with running_sandbox(SandboxConfig(seed=1, choices=OTHER_WAYS[row])) as sandbox:
        api = await connect(sandbox.url)
        async with stocked(api) as account:
            assert await QUESTIONS[row](account) is not None
        await disconnect(api)


@pytest.mark.parametrize("key", ["sk_live_x", "rk_live_x", "pk_test_x", "x"])
def test_a_key_that_is_not_of_test_mode_is_refused(key):
    with pytest.raises(LiveKeyError):
        check_key(key)


def test_the_page_says_which_rows_are_asked():
    """The last column of the unconfirmed rows."""
    asked = [row for row in unconfirmed() if row[-1] == "yes"]
    assert {row[0] for row in asked} == QUESTIONS.keys()
