"""dj-stripe's djstripe_sync_models stores what twenty lives have left, by settings alone."""

import json

from tests.sandbox_peers.conftest import RunningSandbox, run
from tests.sandbox_peers.figures import Figures, hold
from tests.sandbox_peers.lives import live
from tests.sandbox_peers.packages import script, venv

VERSION = "2.11.0"
MISSING: dict[str, str] = {}
SKIPPED = {
    "AccountV2": "always goes to Stripe's own host",
    "CountrySpec": "hands nested objects of stripe 15 to JSON as they are, so every answer fails",
}
OUTSIDE: dict[str, str] = {}
OWN_FAULTS = {"CountrySpec": "TypeError('Object of type StripeObject is not JSON serializable')"}
"""What it says of each object of a model that it cannot store wherever it comes from."""

STORED = {
    "Charge": "/v1/charges",
    "Customer": "/v1/customers",
    "Invoice": "/v1/invoices",
    "File": "/v1/files",
    "FileLink": "/v1/file_links",
    "PaymentIntent": "/v1/payment_intents",
    "Price": "/v1/prices",
    "Product": "/v1/products",
    "Refund": "/v1/refunds",
    "Subscription": "/v1/subscriptions?status=all",
    "SubscriptionSchedule": "/v1/subscription_schedules",
}
"""Models of which it has to store at least what the sandbox lists."""


def add_what_customers_have(sandbox: RunningSandbox) -> None:
    """Give a customer a tax id, and a feature to those who have a plan."""
    customer = sandbox.everything("/v1/customers")[0]["id"]
    sandbox.post(f"/v1/customers/{customer}/tax_ids", type="eu_vat", value="DE123456789")
    feature = sandbox.post("/v1/entitlements/features", name="Backups", lookup_key="backups")["id"]
    for product in sandbox.everything("/v1/products"):
        sandbox.post(f"/v1/products/{product['id']}/features", entitlement_feature=feature)


def test_dj_stripe_syncs_every_model(folder, sandbox, tmp_path):
    python = venv(folder, "dj-stripe", f"dj-stripe=={VERSION}")
    live(sandbox.url)
    add_what_customers_have(sandbox)
    command = [python, script(tmp_path, "dj_stripe_sync.py"), str(sandbox.port), "djstripe.sqlite"]
    outcomes = json.loads(run(command, tmp_path).splitlines()[-1])
    for model, path in STORED.items():
        listed = len(sandbox.everything(path))
        if outcomes[model]["stored"] < listed:
            outcomes[model]["errors"] += f" {outcomes[model]['stored']} of {listed} stored"
    for model in ("ActiveEntitlement", "TaxId"):
        if not outcomes[model]["stored"]:
            outcomes[model]["errors"] += " none stored"
    left_out = MISSING.keys() | SKIPPED.keys() | OUTSIDE.keys()
    tried = {model: one["errors"] for model, one in outcomes.items() if model not in left_out}
    failed = {model: errors for model, errors in tried.items() if errors}
    passed, total = len(tried) - len(failed), len(tried) + len(MISSING)
    hold(Figures("PyPI `dj-stripe`, models", VERSION, passed, total, MISSING, SKIPPED, OUTSIDE))
    assert not failed, "\n".join(f"{model}: {why}" for model, why in failed.items())
    for model, fault in OWN_FAULTS.items():
        assert fault in outcomes[model]["errors"], f"{model}: {VERSION} has mended it; try it again"
