"""Apply a catalogue file to the database, or find out what that would change."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.catalogue import repository
from mpanel_billing.catalogue.edit import CatalogueEdit, compare_catalogues
from mpanel_billing.catalogue.from_file import catalogue_of
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.rows import Row, coupon_rows, meter_rows, price_rows, product_rows
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes to one kind of row, by code or lookup key; `unchanged` counts the rest."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]
    unchanged: int


@dataclass(frozen=True, slots=True)
class AppliedCatalogue:
    """The changes that `apply_catalogue` made."""

    products: Changes
    prices: Changes
    coupons: Changes


class CatalogueChangedError(BillingError):
    """Another apply came between the preview of an edit and the edit."""

    code = "catalogue_changed"


class MeterChangedError(BillingError):
    """A meter of the file adds up another way than before, which Stripe cannot change either."""

    code = "meter_changed"


async def read_catalogue(pool: Pool, *, livemode: bool) -> Catalogue:
    """Return what is on sale now, with the Stripe ids of the given mode."""
    async with acquired(pool) as conn:
        return await repository.load_catalogue(conn, livemode=livemode)


async def preview_catalogue(pool: Pool, file: CatalogueFile) -> CatalogueEdit:
    """Return what `apply_catalogue` would change, without writing; MeterChangedError as there."""
    async with acquired(pool) as conn:
        await _require_same_meters(conn, meter_rows(file))
        return await _edit(conn, file)


async def apply_catalogue(
    pool: Pool,
    file: CatalogueFile,
    *,
    by: Actor | None = None,
    expected: CatalogueEdit | None = None,
) -> AppliedCatalogue:
    """Make the database sell exactly what the file says, in one transaction.

    Safe to repeat. A changed price becomes a new row and the old one is retired; what the file no
    longer has is taken off sale, never deleted. New prices and changed coupons can be bought once
    `push_catalogue` has created them in Stripe. `by` is for the audit log; None is the service
    itself. CatalogueChangedError if the edit is another one than `expected`, its preview.
    """
    async with transaction(pool) as conn:
        await repository.lock_catalogue(conn)
        if expected is not None and await _edit(conn, file) != expected:
            raise CatalogueChangedError(
                "someone else has changed the catalogue in the meantime: run this again"
            )
        applied = await _apply(conn, file)
        await audit.record(conn, by, "catalogue.apply", details=asdict(applied))
    return applied


async def _edit(conn: Connection, file: CatalogueFile) -> CatalogueEdit:
    before = await repository.load_catalogue(conn, livemode=False)
    return compare_catalogues(before, catalogue_of(file, datetime.now(UTC)))


async def _apply(conn: Connection, file: CatalogueFile) -> AppliedCatalogue:
    return AppliedCatalogue(
        products=await _apply_products(conn, file),
        prices=await _apply_prices(conn, file),
        coupons=await _apply_coupons(conn, file),
    )


async def _apply_products(conn: Connection, file: CatalogueFile) -> Changes:
    rows = product_rows(file)
    await repository.note_edits(conn, rows)
    upserted = await repository.upsert_products(conn, rows)
    retired = await repository.retire_products(conn, [row["code"] for row in rows])
    return _changes(upserted, retired, len(rows))


async def _apply_prices(conn: Connection, file: CatalogueFile) -> Changes:
    meters, rows = meter_rows(file), price_rows(file)
    await _require_same_meters(conn, meters)
    await repository.insert_meters(conn, meters)
    inserted, retired = await repository.replace_prices(conn, rows)
    upserted = repository.Upserted(
        created=tuple(key for key in inserted if key not in retired),
        changed=tuple(key for key in inserted if key in retired),
    )
    gone = tuple(key for key in retired if key not in inserted)
    return _changes(upserted, gone, len(rows))


async def _require_same_meters(conn: Connection, meters: Sequence[Row]) -> None:
    for meter, before in (await repository.find_changed_meters(conn, meters)).items():
        raise MeterChangedError(
            f"the aggregation of the meter {meter} is {before} and cannot change: name another one"
        )


async def _apply_coupons(conn: Connection, file: CatalogueFile) -> Changes:
    rows = coupon_rows(file)
    upserted = await repository.upsert_coupons(conn, rows)
    retired = await repository.retire_coupons(conn, [row["code"] for row in rows])
    return _changes(upserted, retired, len(rows))


def _changes(upserted: repository.Upserted, retired: tuple[str, ...], total: int) -> Changes:
    return Changes(
        created=upserted.created,
        changed=upserted.changed,
        retired=retired,
        unchanged=total - len(upserted.created) - len(upserted.changed),
    )
