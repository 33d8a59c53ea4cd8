"""Turns OpenTelemetry on if OTEL_EXPORTER_OTLP_ENDPOINT is set; docs/monitoring/README.md.

Otherwise OpenTelemetry is not imported and nothing is wrapped: code that opens a connection
or a client calls `active_tracing()` once and gets None. That is why `spans`, which imports
OpenTelemetry, is a module of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from mpanel_billing.errors import SettingsError
from mpanel_billing.settings import Settings

if TYPE_CHECKING:
    from mpanel_billing.telemetry.spans import Spans

_active: list["Spans"] = []


def active_tracing() -> "Spans | None":
    """Return this process's spans; None if tracing is off."""
    return _active[-1] if _active else None


@contextmanager
def tracing(settings: Settings, process: str) -> Iterator[None]:
    """Trace this process (`web`, `worker`) until the block ends, if the settings ask for it.

    SettingsError if they do and OpenTelemetry is not installed.
    """
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        yield
        return
    spans = _open_spans(str(endpoint), process)
    _active.append(spans)
    try:
        yield
    finally:
        _active.remove(spans)
        spans.close()


def _open_spans(endpoint: str, process: str) -> "Spans":
    try:
        module = import_module("mpanel_billing.telemetry.spans")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: traces need OpenTelemetry, which is not installed: "
            "make install WITH=extras, or pip install 'mpanel-billing[tracing]'"
        ) from error
    spans: Spans = module.open_spans(endpoint, process)
    return spans
