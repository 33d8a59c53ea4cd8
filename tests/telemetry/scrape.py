"""What GET /metrics answers, read as Prometheus reads it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

OURS = "mpanel_billing_"


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape."""

    samples: tuple[Sample, ...]
    families: frozenset[str]

    def value(self, name: str, **labels: str) -> float:
        """Add up the samples of a name that have these labels; 0 without one."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == OURS + name and labels.items() <= sample.labels.items()
        )

    def all(self, name: str) -> list[Mapping[str, str]]:
        """Return the labels of each sample of a name."""
        return [sample.labels for sample in self.samples if sample.name == OURS + name]

    def labels(self) -> Mapping[str, frozenset[str]]:
        """Return the names of the labels of each sample, by its name."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for sample in self.samples:
            found[sample.name] |= sample.labels.keys()
        return {name: frozenset(labels) for name, labels in found.items()}


def read_metrics(text: str) -> Scrape:
    """Read the text; fails where it is not well formed."""
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family comes twice"
    return Scrape(
        tuple(sample for family in families for sample in family.samples), frozenset(names)
    )


async def scrape(port: int) -> Scrape:
    """Ask the process at a port."""
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert answer.status == 200
        return read_metrics(await answer.text())
