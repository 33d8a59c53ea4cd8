"""mPanel's backend verifies messages in Node, with the library from npm (`make test-node`)."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from mpanel_billing.messages.signing import make_secret, sign

VERIFY = Path(__file__).parent / "verify.mjs"
BODY = '{"type": "invoice.paid", "data": {"company": "Qx & Söhne"}}'


def is_verified(secret: str, body: str, headers: dict[str, str]) -> bool:
    told = json.dumps({"secret": secret, "body": body, "headers": headers})
    ended = subprocess.run(
        ["node", VERIFY], input=told, text=True, capture_output=True, check=False, env=os.environ
    )
    assert ended.returncode == 0 or "WebhookVerificationError" in ended.stderr, ended.stderr
    return ended.returncode == 0


def test_a_message_is_verified_with_either_secret_while_one_is_rolled() -> None:
    new, former = make_secret(), make_secret()
    headers = dict(sign("msg_1", datetime.now(UTC), BODY, [new, former]))
    assert is_verified(new, BODY, headers)
    assert is_verified(former, BODY, headers)


def test_another_body_id_or_secret_is_not_verified() -> None:
    secret = make_secret()
    headers = dict(sign("msg_1", datetime.now(UTC), BODY, [secret]))
    assert not is_verified(secret, BODY + " ", headers)
    assert not is_verified(secret, BODY, headers | {"webhook-id": "msg_2"})
    assert not is_verified(make_secret(), BODY, headers)
