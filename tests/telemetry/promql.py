"""What a PromQL expression reads, and which labels its result has."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import promql_parser as promql
from prometheus_client.samples import Sample

TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus itself puts on everything that it scrapes."""

KNOWN_VALUES: dict[tuple[str, str], frozenset[str]] = {}

Labels = frozenset[str]
Exposed = Mapping[str, Labels]


class UnsoundExpressionError(AssertionError):
    """The expression reads something that is not there, or matches what cannot match."""


def result_labels(expression: str, exposed: Exposed) -> Labels:
    """Return the labels that the result has; UnsoundExpressionError where it is unsound."""
    return _labels(promql.parse(expression), exposed)


def reads_series(expression: str, samples: Iterable[Sample]) -> bool:
    """Return whether each selector of the expression has a sample."""
    selectors = list(_selectors(promql.parse(expression)))
    found = list(samples)
    return all(any(_matches(each, sample) for sample in found) for each in selectors)


def _selectors(node: promql.Expr) -> Iterator[promql.VectorSelector]:
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.Call():
            for argument in node.args:
                yield from _selectors(argument)
        case promql.BinaryExpr():
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from _selectors(node.expr)


def _matches(selector: promql.VectorSelector, sample: Sample) -> bool:
    return sample.name == selector.name and all(
        _agrees(matcher, sample.labels.get(matcher.name, ""))
        for matcher in selector.matchers.matchers
    )


def _agrees(matcher: promql.Matcher, value: str) -> bool:
    match matcher.op:
        case promql.MatchOp.Equal:
            return value == matcher.value
        case promql.MatchOp.NotEqual:
            return value != matcher.value
        case promql.MatchOp.Re:
            return re.fullmatch(matcher.value, value) is not None
    return re.fullmatch(matcher.value, value) is None


def _labels(node: promql.Expr, exposed: Exposed) -> Labels:  # noqa: PLR0911 - one a kind of node
    match node:
        case promql.VectorSelector():
            return _selected(node, exposed)
        case promql.MatrixSelector():
            return _selected(node.vector_selector, exposed)
        case promql.AggregateExpr():
            return _aggregated(node, exposed)
        case promql.Call():
            return _called(node, exposed)
        case promql.BinaryExpr():
            return _combined(node, exposed)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return _labels(node.expr, exposed)
        case promql.NumberLiteral() | promql.StringLiteral():
            return frozenset()
    raise UnsoundExpressionError(f"{type(node).__name__} is new to this test")


def _selected(selector: promql.VectorSelector, exposed: Exposed) -> Labels:
    name = selector.name or ""
    if name not in exposed:
        raise UnsoundExpressionError(f"there is no metric {name}")
    labels = exposed[name] | TARGET
    for matcher in selector.matchers.matchers:
        _require({matcher.name}, labels, name)
        known = KNOWN_VALUES.get((name, matcher.name))
        wanted = set(matcher.value.split("|"))
        if known is not None and not wanted <= known:
            raise UnsoundExpressionError(f"{name}: {matcher.name} is never {wanted - known}")
    return labels


def _aggregated(node: promql.AggregateExpr, exposed: Exposed) -> Labels:
    inner = _labels(node.expr, exposed)
    if node.modifier is None:
        return frozenset()
    named = frozenset(node.modifier.labels)
    _require(named, inner, str(node))
    by = node.modifier.type == promql.AggModifierType.By
    return named if by else inner - named


def _called(node: promql.Call, exposed: Exposed) -> Labels:
    inner = frozenset[str]().union(*(_labels(argument, exposed) for argument in node.args))
    match node.func.name:
        case "histogram_quantile":
            _require({"le"}, inner, str(node))
            return inner - {"le"}
        case "label_replace":
            return inner | {cast("promql.StringLiteral", node.args[1]).val}
        case "absent" | "vector" | "scalar":
            return frozenset()
    return inner


def _combined(node: promql.BinaryExpr, exposed: Exposed) -> Labels:
    left, right = _labels(node.lhs, exposed), _labels(node.rhs, exposed)
    matching = node.modifier.matching if node.modifier else None
    numbers = isinstance(node.lhs, promql.NumberLiteral) or isinstance(
        node.rhs, promql.NumberLiteral
    )
    if matching is not None:
        _require(frozenset(matching.labels), left & right, str(node))
    elif not numbers and left != right and str(node.op) != "or":
        raise UnsoundExpressionError(f"{node}: {set(left)} never meets {set(right)}")
    return left


def _require(labels: set[str] | Labels, among: Labels, where: str) -> None:
    if missing := set(labels) - among:
        raise UnsoundExpressionError(f"{where} has no label {', '.join(sorted(missing))}")
