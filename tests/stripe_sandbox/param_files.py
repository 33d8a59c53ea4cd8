"""The part of `param_world` and `param_scenes` about files, and what is done with them."""

from base64 import b64encode
from typing import Any

from stripe_sandbox.billing.disputes import decide_dispute, open_dispute
from stripe_sandbox.resources.disputes import PAPERS
from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import Scene, case, scene

FILE = {"content": b64encode(b"%PDF").decode(), "filename": "a.pdf"}
UPLOAD: dict[str, Any] = {"file": FILE, "purpose": "dispute_evidence"}
BANK = "pm_usBankAccount_success"
WAITS = {
    "confirm": True,
    "payment_method": BANK,
    "payment_method_options": {"us_bank_account": {"verification_method": "microdeposits"}},
}
LINK = {"create": True}
MOMENTS = (START + DAY, START + 2 * DAY)


def add_files(desk: Desk) -> None:
    """Add files, a link, a dispute that may be appealed, and intents that wait for deposits."""
    do = desk.do
    for name in ("file", "other_file"):
        do("POST /files", keep=name, **UPLOAD)
    do("POST /file_links", keep="file_link", file="$file")
    do("POST /payment_intents", keep="unverified", customer="$customer", amount=500,
       currency="usd", **WAITS)  # fmt: skip
    do("POST /setup_intents", keep="unverified_setup", customer="$customer", **WAITS)
    paid = do("POST /payment_intents", confirm=True, payment_method="$amex", amount=500,
              customer="$customer", currency="usd")  # fmt: skip
    world = desk.world
    with world.store.transaction():
        charge = world.find("charge", paid["latest_charge"])
        dispute = open_dispute(world, charge, reason="fraudulent", status="needs_response")
        dispute = decide_dispute(world, dispute, "lost")
        decide_dispute(world, dispute, "appealable")
    desk.names["appealed"] = dispute["id"]


APPEAL = "evidence.appeal.card"
EVIDENCE: dict[str, Scene] = {
    **{f"evidence.{name}": case("$file", "$other_file") for name in PAPERS},
    f"{APPEAL}.reason_for_filing": case("x", "y", of="appealed"),
    f"{APPEAL}.supporting_files": case(["$file"], ["$other_file"], of="appealed"),
}
VERIFY = {"amounts": case([32, 45]), "descriptor_code": case("SM11AA")}
FILES: dict[str, Scene] = {
    "POST /files": scene(
        **UPLOAD,
        cases={
            "file_link_data.expires_at": case(*MOMENTS, file_link_data=LINK),
            "file_link_data.metadata": case(file_link_data=LINK),
        },
    ),
    "GET /files": scene(cases={"purpose": case("dispute_evidence", "pci_document")}),
    "POST /file_links": scene(
        file="$file",
        cases={"expires_at": case(*MOMENTS), "file": case("$file", "$other_file")},
    ),
    "GET /file_links": scene(cases={"file": case("$file", "$other_file")}),
    "POST /file_links/{id}": scene("file_link", cases={"expires_at": case(START + DAY, "now")}),
    "POST /payment_intents/{id}/verify_microdeposits": scene("unverified", cases=VERIFY),
    "POST /setup_intents/{id}/verify_microdeposits": scene("unverified_setup", cases=VERIFY),
}
