"""docs/monitoring: the alert rules, the dashboard, and the table of metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml

from mpanel_billing.provisioning.service_state import RESULTING
from mpanel_billing.revenue.movements import KINDS
from mpanel_billing.telemetry import counters
from mpanel_billing.telemetry.figures import FAMILIES
from mpanel_billing.usage.records import OUTCOMES
from tests.telemetry.promql import KNOWN_VALUES, Exposed, Labels, reads_series, result_labels
from tests.telemetry.scrape import OURS, Scrape

DOCS = Path(__file__).parent.parent.parent / "docs" / "monitoring"
ALERT_TESTS = Path(__file__).parent / "alerts.test.yaml"
ALERTS = DOCS / "alerts.yaml"
DASHBOARD = DOCS / "dashboard.json"

KNOWN_VALUES.update(
    {
        (f"{OURS}webhooks_refused_total", "reason"): frozenset(counters.REFUSALS),
        (f"{OURS}stripe_calls_total", "outcome"): frozenset(counters.STRIPE_OUTCOMES),
        (f"{OURS}driver_calls_total", "outcome"): frozenset(
            {"done", "already_done", "retryable", "permanent"}
        ),
        (f"{OURS}driver_calls_total", "action"): frozenset(RESULTING),
        (f"{OURS}jobs_total", "outcome"): frozenset(
            {"done", "failed", "busy", "lost", "broken_off"}
        ),
        (f"{OURS}usage_records_total", "outcome"): frozenset(OUTCOMES),
        (f"{OURS}usage_events_total", "outcome"): frozenset(get_args(counters.UsageOutcome)),
        (f"{OURS}services_unsettled", "state"): frozenset({"due", "waiting", "refused", "skipped"}),
        (f"{OURS}reconcile", "kind"): frozenset(
            {"objects", "events", "accounts", "drift", "repaired"}
        ),
        (f"{OURS}mrr_moved", "kind"): frozenset(KINDS),
        (f"{OURS}mrr_moved_customers", "kind"): frozenset(KINDS),
        (f"{OURS}payments", "kind"): frozenset(
            {"collected", "refunded", "disputed", "failed", "recovered"}
        ),
        (f"{OURS}payments_amount", "kind"): frozenset(
            {"collected", "refunded", "disputed", "failed", "recovered"}
        ),
        (f"{OURS}inbox_events", "status"): frozenset(
            {"received", "applied", "stale", "ignored", "failed"}
        ),
        (f"{OURS}subscriptions", "stripe_status"): frozenset(
            {
                "incomplete",
                "incomplete_expired",
                "trialing",
                "active",
                "past_due",
                "unpaid",
                "paused",
                "canceled",
            }
        ),
    }
)


def check_alerts(exposed: Exposed) -> None:
    """Every rule can be computed, and its sentence has the labels that it names."""
    rules = [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 15
    for rule in rules:
        labels = result_labels(rule["expr"], exposed)
        assert rule["labels"]["severity"] in {"critical", "warning"}
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert named <= labels, f"{rule['alert']} names {named - labels}"


def check_panels_show_zero(healthy: Scrape) -> None:
    """While all is well every panel has something to draw: a series, or 0 in its place."""
    empty = []
    for title, target in _targets(json.loads(DASHBOARD.read_text())):
        expression = target["expr"].replace("$__rate_interval", "5m")
        if "vector(0)" not in expression and not reads_series(expression, healthy.samples):
            empty.append(title)
    assert not empty, empty


def check_dashboard(exposed: Exposed) -> None:
    """Every panel can be drawn, and its legend has the labels that it names."""
    dashboard = json.loads(DASHBOARD.read_text())
    (variable,) = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    drawn = list(_targets(dashboard))
    assert len(drawn) > 30
    for title, target in drawn:
        assert target["datasource"]["uid"] == "${datasource}", title
        labels = _labels_of(target["expr"], exposed)
        named = set(re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"]))
        assert named <= labels, f"{title} names {named - labels}"


def _targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target


def _labels_of(expression: str, exposed: Exposed) -> Labels:
    return result_labels(expression.replace("$__rate_interval", "5m"), exposed)


def check_table(found: Scrape) -> None:
    """The documentation lists the metrics that there are, with their labels, and no others."""
    text = (DOCS / "README.md").read_text()
    rows = re.findall(rf"^\| `{OURS}(\w+)` \|([^|]*)\|", text, re.MULTILINE)
    documented = {OURS + name: frozenset(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert len(documented) == len(rows)
    exposed = {name for name in found.families if name.startswith(OURS)}
    assert set(documented) == exposed, set(documented) ^ exposed
    labels = found.labels()
    for name, told in documented.items():
        samples = (name, f"{name}_total", f"{name}_count")
        seen = {labels[sample] for sample in samples if sample in labels}
        # a product type with one service has no servers: then the family itself says its labels
        assert told in (seen or {frozenset(FAMILIES[name.removeprefix(OURS)].labels)}), name
