"""What all tests share; larger parts are plugins of their own."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from mpanel_billing.database.pool import Pool
from tests.inbox import Inbox

pytest_plugins = [
    *("tests.garbage", "tests.hanging", "tests.known_types"),
    *("tests.sessions", "tests.postgres", "tests.service", "tests.inline_worker"),
    *("tests.nameservers", "tests.spending"),
    *("tests.stocks", "tests.sold", "tests.priced", "tests.taxed", "tests.currencies"),
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pm2: runs the service under PM2; skipped where it is not")
    config.addinivalue_line("markers", "own_database: gets a database that no test has used")
    config.addinivalue_line("markers", "equipment: needs a Debian package; skipped where it is not")
    # how long an example takes says how busy the machine is
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


_LONGEST = (
    "tests/faults/",
    "tests/dev/",
    "tests/convergence/",
    "tests/subscriptions/test_price_migration.py",
    "tests/subscriptions/test_change_plan.py",
    "tests/worker/",
    "tests/usage/",
    "tests/provisioning/test_model.py",
    "tests/provisioning/test_killed_workers.py",
    "tests/worlds/",
    "tests/browser/",
    "tests/mpanel/",
    "tests/checkout/test_charged_as_shown.py",
    "tests/reconciliation/test_running.py",
    "tests/database/test_migrations.py",
    "tests/telemetry/",
    "tests/console/test_strange_forms.py",
    "tests/webhooks/test_unreadable.py",
    "tests/subscriptions/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    longest = (n for n, start in enumerate(_LONGEST) if item.nodeid.startswith(start))
    return next(longest, len(_LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail, rather than skip, what needs a browser, PM2 and such where NO_SKIPS is set: in CI."""
    report = yield
    if (
        report.skipped
        and os.environ.get("NO_SKIPS")
        and {"browser", "pm2", "equipment"} & item.keywords.keys()
    ):
        report.outcome = "failed"
    return report


@pytest.fixture
def inbox(pool: Pool) -> Inbox:
    """Delivers Stripe's events to that database."""
    return Inbox(pool)
