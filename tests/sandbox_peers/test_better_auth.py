"""@better-auth/stripe signs up, sells, changes and cancels, with webhooks."""

import json
from contextlib import contextmanager

from tests.ports import unused_port
from tests.sandbox_peers.conftest import RunningSandbox, run, run_sandbox
from tests.sandbox_peers.figures import Figures, hold
from tests.sandbox_peers.packages import npm, script

VERSION = "1.7.6"
PACKAGES = (
    f"@better-auth/stripe@{VERSION}",
    f"@better-auth/core@{VERSION}",
    f"better-auth@{VERSION}",
    "better-call@1.4.0",
    "stripe@22",
)


def price(sandbox: RunningSandbox, amount: int) -> str:
    params = {"product_data[name]": "Plan", "unit_amount": amount, "currency": "usd"}
    return str(sandbox.post("/v1/prices", **params, **{"recurring[interval]": "month"})["id"])


def test_better_auths_flow(folder):
    installed = npm(folder, "better-auth", *PACKAGES)
    port = unused_port()
    hook = f"http://127.0.0.1:{port}/api/auth/stripe/webhook"
    options = ("--webhook-url", hook, "--webhook-secret", "whsec_peers")
    with contextmanager(run_sandbox)(*options) as sandbox:
        prices = [price(sandbox, 1000), price(sandbox, 3000)]
        command = ["node", script(installed, "better_auth.mjs"), str(sandbox.port), str(port)]
        steps = json.loads(run([*command, *prices], installed).splitlines()[-1])
    failed = [f"{one['name']}: {one['error']}" for one in steps if one["error"]]
    passed = len(steps) - len(failed)
    hold(Figures("npm `@better-auth/stripe`, steps", VERSION, passed, len(steps)))
    assert not failed, "\n".join(failed)
