"""Capacity arithmetic: what a number of subscriptions needs, from what was measured.

Nothing is measured here. The defaults are the figures that the other benchmarks printed; replace
them with your own to size your machines.

    python -m benchmarks.forecast [--subscriptions 100000 1000000 10000000]
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

_MONTH_HOURS = 730
_HOUR_SECONDS = 3600
_GIB = 2**30


@dataclass(frozen=True)
class Measured:
    """CPU in seconds, sizes in bytes, as `python -m benchmarks.checkout` printed them.

    The figures of an event are those of a renewal delivered one event at a time, the most expensive
    way. Its WAL includes the full-page images of `python -m benchmarks.costs`, and its payload is
    7 KB of JSON.
    """

    event_web: float = 0.0015
    event_postgres: float = 0.0014
    event_wal: int = 18_300
    purchase_web: float = 0.035
    purchase_worker: float = 0.032
    purchase_postgres: float = 0.056
    subscription_bytes: int = 18_000
    invoice_bytes: int = 2_200
    event_bytes: int = 340
    payload_bytes: int = 4_000


@dataclass(frozen=True)
class Assumed:
    """What decides the load and differs between shops; every subscription renews monthly.

    `busiest_hour` is that hour's share of a month's renewals and sales (0.0014 if they were spread
    evenly), `sold` is the share of subscriptions that are new each month.
    """

    events_per_renewal: int = 6
    other_events: int = 1
    busiest_hour: float = 0.025
    sold: float = 0.04
    events_per_purchase: int = 9
    payload_days: int = 90
    event_days: int = 400
    listed_days: int = 30
    """How long Stripe lists its events: the daily reconcile lists all of them."""


@dataclass(frozen=True)
class Forecast:
    """The load and storage of a number of subscriptions."""

    subscriptions: int
    measured: Measured = Measured()
    assumed: Assumed = Assumed()

    @property
    def events_a_month(self) -> float:
        a = self.assumed
        each = a.events_per_renewal + a.other_events + a.sold * a.events_per_purchase
        return self.subscriptions * each

    @property
    def peak_events(self) -> float:
        """Events a second in the busiest hour."""
        return self.events_a_month * self.assumed.busiest_hour / _HOUR_SECONDS

    @property
    def peak_purchases(self) -> float:
        """Purchases a second in the busiest hour."""
        sold = self.subscriptions * self.assumed.sold
        return sold * self.assumed.busiest_hour / _HOUR_SECONDS

    @property
    def web_cores(self) -> float:
        m = self.measured
        return self.peak_events * m.event_web + self.peak_purchases * m.purchase_web

    @property
    def worker_cores(self) -> float:
        return self.peak_purchases * self.measured.purchase_worker

    @property
    def postgres_cores(self) -> float:
        m = self.measured
        return self.peak_events * m.event_postgres + self.peak_purchases * m.purchase_postgres

    @property
    def wal_a_second(self) -> float:
        """Bytes a second in the busiest hour."""
        return self.peak_events * self.measured.event_wal

    @property
    def reconcile_requests(self) -> float:
        """Pages of 100 that a daily reconcile requests from Stripe, after a year.

        Per subscription: itself, its customer, 13 invoices, 13 payments.
        """
        events = self.events_a_month * 12 / 365 * self.assumed.listed_days
        return (self.subscriptions * 28 + events) / 100

    def kept_after(self, years: float) -> dict[str, float]:
        """Bytes by kind of row; the inbox is pruned, invoices are kept."""
        a, m = self.assumed, self.measured
        events_a_day = self.events_a_month * 12 / 365
        return {
            "subscriptions": self.subscriptions * m.subscription_bytes,
            "invoices": self.subscriptions * 12 * years * m.invoice_bytes,
            "inbox rows": events_a_day * min(years * 365, a.event_days) * m.event_bytes,
            "inbox payloads": events_a_day * a.payload_days * m.payload_bytes,
        }


def rows(forecast: Forecast) -> Iterable[tuple[str, str]]:
    """Return the lines of the table, as (name, amount)."""
    yield "events a month", f"{forecast.events_a_month / 1e6:,.1f} million"
    yield "events/s on average", f"{forecast.events_a_month / _MONTH_HOURS / _HOUR_SECONDS:,.1f}"
    yield "events/s, busiest hour", f"{forecast.peak_events:,.1f}"
    yield "purchases/s, busiest hour", f"{forecast.peak_purchases:,.2f}"
    yield "web, busy cores then", f"{forecast.web_cores:.2f}"
    yield "worker, busy cores then", f"{forecast.worker_cores:.2f}"
    yield "PostgreSQL, busy cores then", f"{forecast.postgres_cores:.2f}"
    yield "WAL then", f"{forecast.wal_a_second / 1e6:,.2f} MB/s"
    for latency in (1, 10, 60):
        waiting = forecast.peak_purchases * latency
        yield f"commands open at a driver of {latency} s then", f"{waiting:,.1f}"
    for rate in (10, 50):
        hours = forecast.reconcile_requests / rate / _HOUR_SECONDS
        yield f"a full reconcile at {rate} requests/s, after a year", f"{hours:,.1f} hours"
    kept = forecast.kept_after(1)
    for subject, size in kept.items():
        yield f"{subject}, after a year", f"{size / _GIB:,.1f} GiB"
    yield "total, after a year", f"{sum(kept.values()) / _GIB:,.1f} GiB"
    yield "each further year", f"{forecast.kept_after(1)['invoices'] / _GIB:,.1f} GiB"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.forecast", description=__doc__)
    parser.add_argument(
        "--subscriptions", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000]
    )
    forecasts = [Forecast(count) for count in parser.parse_args().subscriptions]
    print("| subscriptions |", " | ".join(f"{f.subscriptions:,}" for f in forecasts), "|")
    print("|---|" + "---|" * len(forecasts))
    for columns in zip(*map(rows, forecasts), strict=True):
        print(f"| {columns[0][0]} |", " | ".join(amount for _, amount in columns), "|")


if __name__ == "__main__":
    main()
