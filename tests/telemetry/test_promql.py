"""The check of the expressions finds what is wrong with one."""

import pytest

from tests.telemetry.promql import UnsoundExpressionError, result_labels

EXPOSED = {
    "asked_total": frozenset({"route", "status"}),
    "took_bucket": frozenset({"route", "le"}),
    "waits": frozenset[str](),
}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("sum by (route) (rate(asked_total[5m]))", {"route"}),
        ("histogram_quantile(0.9, sum by (le, route) (rate(took_bucket[5m])))", {"route"}),
        ('sum(asked_total{status=~"5.."}) / sum(asked_total) > 0.1', set()),
        ("(sum(asked_total) or vector(0)) == 0 and on () max(waits) > 1", set()),
        ("sum without (status, job) (asked_total)", {"route", "instance"}),
    ],
)
def test_a_sound_expression_has_these_labels(expression: str, labels: set[str]) -> None:
    assert result_labels(expression, EXPOSED) == labels


@pytest.mark.parametrize(
    "expression",
    [
        "rate(asked[5m])",
        'asked_total{code="500"}',
        "sum by (code) (asked_total)",
        "histogram_quantile(0.9, sum by (route) (rate(took_bucket[5m])))",
        "sum by (route) (asked_total) / sum by (status) (asked_total)",
        "sum by (route) (asked_total) and on (route) waits",
    ],
)
def test_an_unsound_one_is_found(expression: str) -> None:
    with pytest.raises(UnsoundExpressionError):
        result_labels(expression, EXPOSED)
