"""An earlier release and this one run side by side while the schema changes under both."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from mpanel_billing.database.migrations import expected_version, migrate
from mpanel_billing.resources import ROOT
from tests.faults import releases
from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment, open_empty_deployment
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument

pytestmark = pytest.mark.skipif(
    not releases.is_known(releases.BASELINE),
    reason="a shallow clone, without the earlier release: git fetch --unshallow",
)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    return releases.check_out(releases.BASELINE, tmp_path / "earlier")


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The present schema, with each view and routine changed; a view gets another first column."""
    tree = tmp_path / "later"
    for part in ("prisma", "sql"):
        shutil.copytree(ROOT / part, tree / part)
    for path in (*tree.glob("sql/views/*.sql"), *tree.glob("sql/routines/*.sql")):
        text = path.read_text()
        if path.stem == "billing_mrr":
            text = text.replace("SELECT\n", "SELECT\n    1 AS more,\n", 1)
        path.write_text(f"-- Changed.\n{text}")
    return tree


@pytest.fixture
async def deployment(empty_database_url: str, earlier: Path) -> AsyncIterator[Deployment]:
    """A deployment with the schema and the catalogue of the earlier release."""
    await migrate(empty_database_url, migrations=earlier / "prisma" / "migrations")
    async with open_empty_deployment(empty_database_url) as opened:
        for step in ("apply", "push"):
            await opened.run_command("catalog", step, environment=releases.environment_of(earlier))
        yield opened


async def test_two_releases_run_side_by_side(
    deployment: Deployment, earlier: Path, later: Path, document: ReliabilityDocument
) -> None:
    old = releases.environment_of(earlier)
    old_web, old_worker = await deployment.start_web(**old), await deployment.start_worker(**old)
    connector = aiohttp.TCPConnector(force_close=True)  # so that both get their share
    async with aiohttp.ClientSession(connector=connector) as deployment.browser:
        async with under_load(deployment) as load:
            files = await migrate(
                deployment.urls["DATABASE_URL"], migrations=later / "prisma" / "migrations"
            )
            texts = [file for file in files if file.startswith("sql/")]
            assert {"sql/views/billing_mrr.sql", "sql/routines/billing_receive_events_v3.sql"} <= {
                *texts
            }
            new_web, new_worker = await deployment.start_web(), await deployment.start_worker()
            await load.wait_for_purchases(4)
            for process in (old_web, new_web):
                assert any("order placed" in line for line in process.lines)
                assert any("event applied" in line for line in process.lines)
            assert await old_web.stop() == 0
            assert await old_worker.stop() == 0
            await load.wait_for_purchases(2)
        await check_converged(deployment, load)
    assert any("provision done" in line for line in new_worker.lines)
    assert deployment.responses.statuses() == {200}
    document.record(
        f"rolling deployment under load: {len(files) - len(texts)} migrations to "
        f"{expected_version()}, {len(texts)} changed views and routines, "
        "the earlier release and this one side by side, then only this one",
        deployment.responses,
        recovered="not needed: both take orders and webhooks on either schema",
    )
