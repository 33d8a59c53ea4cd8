"""schemathesis calls every route with what the document allows and what it forbids.

schemathesis.toml names the checks that do not apply to a route, and why. SCHEMATHESIS_EXAMPLES asks
for more requests than `make test` has time for.
"""

import asyncio
import json
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Scope
from mpanel_billing.access.keys import create_key
from tests.openapi.conftest import Inhabited

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
PROGRAM = Path(sys.executable).with_name("schemathesis")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "4")
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
}
"""What succeeds only for Stripe, with a registrar or with nameservers:
tests/checkout/test_registered_domains.py, tests/provisioning/test_domain_proofs.py.
"""
BRIEFLY = ("--phases", "examples,coverage")


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
    key = await create_key(pool, Actor("cli:grace@panel"), name="schemathesis", scopes=(scope,))
    return "--header", f"Authorization:Bearer {key.text}"


@pytest.mark.parametrize(
    ("scope", "paths", "options"),
    [
        (None, PUBLIC, ()),
        ("admin", ADMIN, ()),
        ("admin:read", ADMIN, BRIEFLY),
        ("billing", BILLING, ()),
        ("billing:read", BILLING, BRIEFLY),
    ],
)
async def test_it_finds_nothing(
    *,
    inhabited: Inhabited,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    scope: Scope | None,
    paths: str,
    options: tuple[str, ...],
) -> None:
    caplog.set_level(logging.INFO, "mpanel_billing.requests")
    bounds = ("--max-examples", EXAMPLES, "--include-path-regex", paths)
    await run_schemathesis(inhabited, tmp_path, scope, *bounds, *options)
    if options != BRIEFLY:
        assert operations_below(inhabited, paths) - successes(caplog) <= ELSEWHERE


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
