"""Asks a test account what no documentation settles: a real one by `make test-contract`.

Without a key the sandbox is asked itself, so that the questions are known to work.
"""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stripe

from stripe_sandbox import SandboxConfig, running_sandbox
from tests.contract.account import Account, LiveKeyError, check_key
from tests.contract.questions import QUESTIONS
from tests.stripe_sandbox.conftest import connect, disconnect

KEY = os.environ.get("STRIPE_CONTRACT_KEY", "")
PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


@pytest.fixture
async def api() -> AsyncIterator[stripe.StripeClient]:
    if KEY:
        key, client = check_key(KEY), stripe.AIOHTTPClient()
        real = stripe.StripeClient(key, http_client=client, max_network_retries=3)
        yield real
        await client.close_async()
        return
    async with running_sandbox(SandboxConfig(seed=1)) as sandbox:
        asked = await connect(sandbox.url)
        yield asked
        await disconnect(asked)


@pytest.fixture
async def account(api: stripe.StripeClient) -> AsyncIterator[Account]:
    account = Account(api)
    await account.stock()
    try:
        yield account
    finally:
        await account.clear()


@pytest.mark.skipif(bool(KEY), reason="each question is asked alone of a real account")
async def test_the_sandbox_answers_every_question_as_its_page_says(account):
    answers = {row: await ask(account) for row, ask in QUESTIONS.items()}
    assert {row: answer for row, answer in answers.items() if answer} == {}


@pytest.mark.skipif(not KEY, reason="STRIPE_CONTRACT_KEY is not set: no real account to ask")
@pytest.mark.parametrize("row", QUESTIONS if KEY else ["every question"])
async def test_a_real_account_does_as_the_sandbox_assumes(account, row):
    answer = await QUESTIONS[row](account)
    assert answer is None, f"{row}: {answer}"


@pytest.mark.parametrize("key", ["sk_live_x", "rk_live_x", "pk_test_x", "x"])
def test_a_key_that_is_not_of_test_mode_is_refused(key):
    with pytest.raises(LiveKeyError):
        check_key(key)


def test_the_page_says_which_rows_are_asked():
    """The last column of the unconfirmed rows."""
    text = PAGE.read_text().partition("## Unconfirmed")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    asked = {row[0].strip() for row in rows[1:] if re.search(r"\byes$", row[-1].strip())}
    assert asked == QUESTIONS.keys()
