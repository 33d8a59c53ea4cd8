"""schemathesis calls every route with what the document allows and what it forbids.

schemathesis.toml names the checks that do not apply to a route, and why. `make test-openapi`, which
.ci/run calls, sends the examples and what the coverage of the description asks for. `make soak`
sets SCHEMATHESIS_EXAMPLES: so many random requests and sequences of them, and the requests of keys
that only read, of which tests/access/ has what each gets and changes.
"""

import asyncio
import json
import logging
import os
import re
import sys
from pathlib import Path

import pytest
from pydantic_core import ErrorDetails

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Scope
from mpanel_billing.access.keys import create_key
from mpanel_billing.http import request
from tests.openapi.conftest import Inhabited

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
PROGRAM = Path(sys.executable).with_name("schemathesis")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES")
WHOLE = ("--max-examples", EXAMPLES) if EXAMPLES else ("--phases", "examples,coverage")
BRIEFLY = ("--phases", "examples,coverage")
SEED = "1"
"""The same requests in each run, so that a failure is reproducible."""

ADMIN, BILLING = "^/api/admin/", "^/api/(billing/|checkout/create-session)"
PUBLIC = "^/(?!api/(admin|billing)/)"
ELSEWHERE = {
    ("POST", "/api/webhooks/stripe"),
    ("POST", "/api/checkout/session/{session_id}/auth-code"),
    ("POST", "/api/billing/domains/{id}/transfer-out"),
    ("GET", "/api/billing/domains/{id}/proof"),
    ("POST", "/api/billing/domains/{id}/verify"),
    ("POST", "/api/billing/subscriptions/{id}/services/{product_type}/access-data"),
    ("POST", "/api/billing/customers/{id}/link-user"),
    ("POST", "/api/billing/customers/{id}/merge"),
    ("POST", "/api/billing/customers/{id}/undo-merge"),
    ("POST", "/api/billing/subscriptions/{id}/lift-usage-limit"),
    *(
        ("POST", f"/api/admin/subscriptions/{{id}}/services/{{product_type}}/{verb}")
        for verb in ("move", "moved", "stay")
    ),
}
"""What succeeds only for Stripe, with a registrar, nameservers, several servers or usage:
tests/checkout/test_registered_domains.py, test_domain_proofs.py and test_servers_http.py of
tests/provisioning, tests/usage/test_limits.py.
"""


async def run_schemathesis(
    inhabited: Inhabited, directory: Path, scope: Scope | None, *options: str
) -> None:
    """Run it with a key of that scope; it must not find anything."""
    document = directory / "openapi.json"
    document.write_text(json.dumps(inhabited.document()))
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *("--config-file", CONFIGURATION, "--no-color", "run", document),
        *("--url", str(inhabited.service.client.make_url("/")).rstrip("/"), "--seed", SEED),
        *(await key_header(inhabited, scope) if scope else ()),
        *options,
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, "\n" + output.decode()


async def key_header(inhabited: Inhabited, scope: Scope) -> tuple[str, str]:
    pool = inhabited.service.pool
    name = scope.replace(":", "-")
    key = await create_key(pool, Actor("cli:grace@panel"), name=name, scopes=(scope,))
    return "--header", f"Authorization:Bearer {key.text}"


@pytest.mark.parametrize(
    ("paths", "scope", "read_only"),
    [
        (PUBLIC, None, None),
        (ADMIN, "admin", "admin:read"),
        (BILLING, "billing", "billing:read"),
    ],
)
async def test_it_finds_nothing(
    *,
    inhabited: Inhabited,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    unworded: list[str],
    paths: str,
    scope: Scope | None,
    read_only: Scope | None,
) -> None:
    caplog.set_level(logging.INFO, "mpanel_billing.requests")
    bounds = ("--include-path-regex", paths)
    if read_only and EXAMPLES:
        await run_schemathesis(inhabited, tmp_path, read_only, *bounds, *BRIEFLY)
    await run_schemathesis(inhabited, tmp_path, scope, *bounds, *WHOLE)
    assert operations_below(inhabited, paths) - successes(caplog) <= ELSEWHERE
    assert unworded == []


@pytest.fixture
def unworded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was refused in pydantic's words, such as `Tuple should have at least 1 item`."""
    found: list[str] = []

    def note(error: ErrorDetails) -> str:
        found.append(f"{error['type']}: {error['msg']}")
        return error["msg"]

    monkeypatch.setattr(request, "in_pydantics_words", note)
    return found


def operations_below(inhabited: Inhabited, paths: str) -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, methods in inhabited.document()["paths"].items()
        for method in methods
        if re.search(paths, path)
    }


def successes(caplog: pytest.LogCaptureFixture) -> set[tuple[str, str]]:
    """Return the operations that returned 2xx at least once, by the access log."""
    lines = [vars(record) for record in caplog.records if record.name == "mpanel_billing.requests"]
    return {(line["method"], line["route"]) for line in lines if 200 <= line["status"] < 300}
