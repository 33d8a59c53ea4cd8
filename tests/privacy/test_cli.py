"""`mpanel-billing customers`, as an operator types it."""

import json
from pathlib import Path

from tests.commands import run_command
from tests.privacy.conftest import EMAIL, NEEDLES, Past


async def test_an_erasure_is_previewed_confirmed_and_on_record(past: Past, tmp_path: Path) -> None:
    url, file = past.service.settings.direct_url, tmp_path / "erasures.jsonl"
    before = await past.places()
    seen = await run_command(url, "customers", "erase", EMAIL, "--dry-run")
    assert seen.status == 0, seen.err
    assert f"customers: {past.customer_id}" in seen.out
    assert "kept, as the law demands: 1 invoices, 1 payments, 0 refunds" in seen.out
    assert "--at-stripe deletes them" in seen.out
    assert "ERASURES_FILE is not set" in seen.err
    refused = await run_command(url, "customers", "erase", EMAIL)
    assert (refused.status, "cannot be undone" in refused.out) == (1, True)
    assert await past.places() == before

    exported = await run_command(url, "customers", "export", EMAIL)
    assert json.loads(exported.out)["tables"]["customers"][0]["email"] == EMAIL

    done = await run_command(
        url,
        *("customers", "erase", EMAIL, "--yes", "--at-stripe"),
        stripe_url=past.service.sandbox.url,
        ERASURES_FILE=str(file),
    )
    assert done.status == 0, done.err
    assert "IT CANNOT BE UNDONE" in done.out
    assert "erased      1 customers" in done.out
    await past.service.stripe.wait_idle()
    assert await past.places() == []
    assert await past.pool.fetchval("SELECT deleted FROM stripe_customers")
    for text in (seen.out, refused.out, done.out, done.err, file.read_text()):
        assert not any(needle in text.lower() for needle in NEEDLES)

    again = await run_command(url, "customers", "reapply-erasures", str(file))
    assert again.out == "erased 0 customers again\n"


async def test_who_lives_is_refused(living: Past) -> None:
    url = living.service.settings.direct_url
    refused = await run_command(url, "customers", "erase", str(living.customer_id), "--yes")
    assert refused.status == 1
    assert f"subscription {living.subscription_id} is active" in refused.err


async def test_a_name_is_not_guessed(past: Past) -> None:
    refused = await run_command(past.service.settings.direct_url, "customers", "export", "Ada")
    assert refused.status == 2
    assert "WHO is an e-mail address" in refused.err
