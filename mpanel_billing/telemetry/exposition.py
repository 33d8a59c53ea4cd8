"""All metrics, counted and read from the database, in Prometheus' text format."""

import asyncio
import platform
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mpanel_billing import __version__
from mpanel_billing.telemetry.figures import FigureReader, Figures, describe_figures
from mpanel_billing.telemetry.multiprocess import SharedCollector, shared_folder


class _OnScrape(Collector):
    """The metrics that are computed at each scrape rather than counted."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        build = GaugeMetricFamily(
            "mpanel_billing_build_info",
            "Always 1; the running version",
            labels=("version", "python"),
        )
        build.add_metric((__version__, platform.python_version()), 1)
        yield build
        yield from describe_figures(self._figures)


async def render_metrics(reader: FigureReader) -> bytes:
    """Return the metrics of all processes that share a folder, or of this one alone."""
    figures = await reader.read()
    return await asyncio.to_thread(_render, figures)


def _render(figures: Figures) -> bytes:
    """Render off the event loop: this reads the files of the other processes."""
    on_scrape = CollectorRegistry()
    on_scrape.register(_OnScrape(figures))
    return generate_latest(_counted_registry()) + generate_latest(on_scrape)


def _counted_registry() -> CollectorRegistry:
    folder = shared_folder()
    if folder is None:
        return REGISTRY
    shared = CollectorRegistry()
    shared.register(SharedCollector(folder))
    return shared
