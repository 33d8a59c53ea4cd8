"""dj-stripe's djstripe_sync_models stores what twenty lives have left, by settings alone."""

import json

from tests.sandbox_peers.conftest import run
from tests.sandbox_peers.figures import Figures, hold
from tests.sandbox_peers.lives import live
from tests.sandbox_peers.packages import script, venv

VERSION = "2.11.0"
MISSING: dict[str, str] = {}
SKIPPED = {
    "AccountV2": "always goes to Stripe's own host",
    "ActiveEntitlement": "is listed without `customer`, which the API reference requires",
    "TaxId": "is listed with `id`, a param that the API reference does not have",
    **dict.fromkeys(
        ("ApplicationFee", "ApplicationFeeRefund", "CountrySpec"),
        "the sandbox has no connected accounts",
    ),
    **dict.fromkeys(
        ("VerificationSession", "VerificationReport"), "Identity is a product of its own"
    ),
    **dict.fromkeys(
        (
            "IssuingAuthorization",
            "IssuingCard",
            "IssuingCardholder",
            "IssuingDispute",
            "IssuingTransaction",
        ),
        "Issuing is a product of its own",
    ),
}
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


def test_dj_stripe_syncs_every_model(folder, sandbox, tmp_path):
    python = venv(folder, "dj-stripe", f"dj-stripe=={VERSION}")
    live(sandbox.url)
    command = [python, script(tmp_path, "dj_stripe_sync.py"), str(sandbox.port), "djstripe.sqlite"]
    outcomes = json.loads(run(command, tmp_path).splitlines()[-1])
    for model, path in STORED.items():
        listed = len(sandbox.everything(path))
        if outcomes[model]["stored"] < listed:
            outcomes[model]["errors"] += f" {outcomes[model]['stored']} of {listed} stored"
    left_out = MISSING.keys() | SKIPPED.keys()
    tried = {model: one["errors"] for model, one in outcomes.items() if model not in left_out}
    failed = {model: errors for model, errors in tried.items() if errors}
    passed, total = len(tried) - len(failed), len(tried) + len(MISSING)
    hold(Figures("PyPI `dj-stripe`, models", VERSION, passed, total, MISSING, SKIPPED))
    assert not failed, "\n".join(f"{model}: {why}" for model, why in failed.items())
