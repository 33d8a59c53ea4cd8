"""Each alert has series that test it, and a place in the documentation that says what to do."""

from collections import Counter
from typing import Any

import yaml

from mpanel_billing.resources import ROOT
from tests.telemetry.documented_metrics import ALERT_TESTS, ALERTS
from tests.test_docs import anchors

RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
NAMES = sorted(rule["alert"] for rule in RULES)


def _cases() -> list[dict[str, Any]]:
    tests = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    return [case for test in tests for case in test["alert_rule_test"]]


def test_each_alert_has_series_that_set_it_off_and_series_that_do_not() -> None:
    firing = Counter(case["alertname"] for case in _cases() if case["exp_alerts"])
    quiet = Counter(case["alertname"] for case in _cases() if not case["exp_alerts"])
    assert sorted(firing) == sorted(quiet) == NAMES


def test_each_alert_names_its_own_heading_of_the_documentation() -> None:
    for rule in RULES:
        document, _, heading = rule["annotations"]["runbook_url"].partition("#")
        assert heading == rule["alert"].lower()
        assert heading in anchors(ROOT / document), rule["alert"]
