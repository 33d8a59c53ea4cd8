"""Uploaded files, links to them, evidence that is a file, and appeals."""

import io

import pytest
import stripe
from aiohttp import ClientSession

from tests.stripe_sandbox.calls import refused
from tests.stripe_sandbox.conftest import DAY

PDF = b"%PDF-1.4 the contract"
AUTH = {"Authorization": "Bearer sk_test_x"}


@pytest.fixture
async def api(sandbox):
    addresses = {"api": sandbox.url, "files": sandbox.url}
    client = stripe.StripeClient(
        "sk_test_x", http_client=stripe.AIOHTTPClient(), base_addresses=addresses
    )
    yield client
    await client._requestor._client.close_async()


async def upload(api, content=PDF, name="contract.pdf", **more):
    file = io.BytesIO(content)
    file.name = name
    return await api.v1.files.create_async({"file": file, "purpose": "dispute_evidence", **more})


async def read(url, **headers):
    async with ClientSession() as browser, browser.get(url, headers=headers) as response:
        return response.status, await response.read()


async def test_a_file_is_kept_and_read_with_a_key(api):
    file = await upload(api)
    assert (file.filename, file.type, file.size) == ("contract.pdf", "pdf", len(PDF))
    assert (await api.v1.files.retrieve_async(file.id)).purpose == "dispute_evidence"
    assert [one.id for one in (await api.v1.files.list_async()).data] == [file.id]
    assert await read(file.url, **AUTH) == (200, PDF)
    assert (await read(file.url))[0] == 401


async def test_a_link_opens_a_file_until_it_expires(api, driver):
    file = await upload(api, file_link_data={"create": True})
    [link] = file.links.data
    assert await read(link.url) == (200, PDF)
    later = (await driver.now()) + DAY
    other = await api.v1.file_links.create_async({"file": file.id, "expires_at": later})
    await driver.advance_time(later)
    assert (await read(other.url))[0] == 404
    assert (await api.v1.file_links.retrieve_async(other.id)).expired
    ended = await api.v1.file_links.list_async({"expired": True})
    assert [one.id for one in ended.data] == [other.id]
    assert (await api.v1.file_links.update_async(link.id, {"expires_at": "now"})).expired


async def test_evidence_is_a_paper_of_a_certain_size(api):
    with refused("must be of type: jpg, pdf, png"):
        await upload(api, b"text", "notes.txt")
    with refused("multipart/form-data"):
        await api.raw_request_async("post", "/v1/files", purpose="pci_document", file="x")


async def disputed(shop, driver):
    subscription = await shop.buy()
    [charge] = (await shop.api.v1.charges.list_async({"customer": subscription.customer})).data
    return await driver.dispute(charge.id)


async def test_papers_are_evidence_and_must_have_been_uploaded_as_such(shop, driver):
    api, dispute = shop.api, await disputed(shop, driver)
    other = await upload(api, purpose="pci_document")
    update = api.v1.disputes.update_async
    with refused("No such file upload"):
        await update(dispute, {"evidence": {"receipt": "file_x"}})
    with refused("does not have the purpose"):
        await update(dispute, {"evidence": {"receipt": other.id}})
    file = await upload(api)
    kept = await update(dispute, {"evidence": {"receipt": file.id}, "submit": False})
    assert (kept.evidence.receipt, kept.evidence_details.has_evidence) == (file.id, True)


async def test_a_lost_dispute_can_be_appealed_and_won(shop, driver):
    api, dispute = shop.api, await disputed(shop, driver)
    update = api.v1.disputes.update_async
    file = await upload(api)
    appeal = {"appeal": {"card": {"reason_for_filing": "new", "supporting_files": [file.id]}}}
    with refused("appeal_needs_response"):
        await update(dispute, {"evidence": appeal})
    await update(dispute, {"evidence": {"uncategorized_text": "losing_evidence"}})
    await driver.decide_dispute(dispute, "appealable")
    assert (await api.v1.disputes.retrieve_async(dispute)).status == "appeal_needs_response"
    with refused("Only appeal evidence"):
        await update(dispute, {"evidence": {"uncategorized_text": "more"}})
    sent = await update(dispute, {"evidence": appeal})
    assert (sent.status, sent.evidence.appeal.card.supporting_files) == (
        "appeal_under_review",
        [file.id],
    )
    await driver.decide_dispute(dispute, "won")
    await driver.wait_idle()
    assert (await api.v1.disputes.retrieve_async(dispute)).status == "won"
    assert shop.receiver.types()[-1] == "charge.dispute.funds_reinstated"
