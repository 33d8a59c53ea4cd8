"""The domains that customers have, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository.renewals import RenewalState

_queries = load_queries("owned_domains")


@dataclass(frozen=True, slots=True)
class AtRegistrar:
    """What a registrar says of a name in the host's account; `driver` is its driver."""

    driver: str
    external_ref: str | None
    registered_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Year:
    """A year of a domain that is charged by itself: how far it is; `invoice_id` is ours.

    `of` is None for the first one of a name that was chosen in place of a lost one.
    """

    of: date | None
    state: RenewalState
    amount: int
    pay_by: datetime
    invoice_id: UUID | None


@dataclass(frozen=True, slots=True)
class OwnedDomain:
    """A domain that a customer has, or had; amounts in minor units of `currency`.

    `told_price` is what its customer was told that a further year costs, `listed_price` what it
    costs by the catalogue. `coming_price` counts from `coming_price_from`. `year` is the latest.
    `replaces_id`: the domain that could not be obtained, in whose place this one was chosen;
    `replaced_by_id` the other way round, None: none is. `replaceable`: one can be.
    """

    id: UUID
    name: str
    unicode_name: str
    mode: str
    state: str
    customer_id: UUID | None
    subscription_id: UUID | None
    driver: str | None
    registered_at: datetime | None
    expires_at: datetime | None
    auto_renew: bool
    currency: str | None
    told_price: int | None
    listed_price: int | None
    coming_price: int | None
    coming_price_from: datetime | None
    needs: Sequence[str]
    last_error: str | None
    created_at: datetime
    replaces_id: UUID | None
    replaced_by_id: UUID | None
    replaceable: bool
    year: Year | None = None

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `list_owned_domains`."""
        columns = {name: row[name] for name in cls.__slots__ if name != "year"}
        names = ("of", "state", "amount", "pay_by", "invoice_id")
        latest = {name: row[f"renewal_{name}"] for name in names}
        return cls(**columns, year=Year(**latest) if latest["state"] else None)

    def price_at(self, now: datetime) -> int | None:
        """Return what a further year costs that is charged now; None: it is not sold."""
        told = self.told_price
        if self.coming_price_from is not None and self.coming_price_from <= now:
            told = self.coming_price
        known = [price for price in (told, self.listed_price) if price is not None]
        return min(known, default=None)


async def list_of_customer(
    conn: Connection, customer_id: UUID, before: tuple[datetime, UUID] | None, most: int
) -> list[UUID]:
    """Return the ids of a customer's domains, newest first, after those of a page."""
    at, id_ = before or (None, None)
    rows = await _queries.list_ids_of_customer.fetch(
        conn, customer_id=customer_id, before_at=at, before_id=id_, most=most
    )
    return [row["id"] for row in rows]


async def list_of_subscription(conn: Connection, subscription_id: UUID) -> list[UUID]:
    """Return the ids of the domains of a subscription's tenant."""
    rows = await _queries.list_ids_of_subscription.fetch(conn, subscription_id=subscription_id)
    return [row["id"] for row in rows]


async def list_domains(
    conn: Connection, ids: Sequence[UUID], *, livemode: bool
) -> list[OwnedDomain]:
    """Return domains that customers have, or had, newest first."""
    rows = await _queries.list_owned_domains.fetch(conn, ids=list(ids), livemode=livemode)
    return [OwnedDomain.of(row) for row in rows]


async def lock_domain(conn: Connection, id_: UUID) -> None:
    """Lock out others who change what is wanted of a domain, until the transaction ends."""
    await _queries.lock_domain.fetch_value(conn, id=id_)


async def find_live(conn: Connection, name: DomainName) -> UUID | None:
    """Return the row of the customer who has a name now."""
    found: UUID | None = await _queries.find_live.fetch_value(
        conn, name=name.ascii, registrable=name.registrable
    )
    return found


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a domain is, and the driver that manages it."""

    customer_id: UUID | None
    driver: str | None


async def get_owner(conn: Connection, id_: UUID) -> Owner:
    """Return whose a domain is; it exists."""
    row = await _queries.get_owner.fetch_one(conn, id=id_)
    assert row is not None  # noqa: S101 - it was found in this transaction
    return Owner(row["customer_id"], row["driver"])


async def renew_yearly(conn: Connection, id_: UUID, currency: str, price: int) -> None:
    """Have further years charged, at a price that its customer was told."""
    await _queries.renew_yearly.execute(conn, id=id_, currency=currency, renewal_price=price)


async def renew_no_more(conn: Connection, id_: UUID, now: datetime) -> None:
    """Have no further years charged; what is not paid yet is taken back."""
    await _queries.renew_no_more.execute(conn, id=id_, now=now)


@dataclass(frozen=True, slots=True)
class OrderedYear:
    """What is charged for the year that follows, in minor units, and when it is given up."""

    amount: int
    currency: str
    pay_by: datetime


async def order_year(
    conn: Connection, id_: UUID, year: OrderedYear, now: datetime, *, livemode: bool
) -> bool:
    """Have the year that follows charged now; False if it is charged, or was, already."""
    ordered = await _queries.order_year.fetch_value(
        conn,
        id=id_,
        amount=year.amount,
        currency=year.currency,
        livemode=livemode,
        pay_by=year.pay_by,
        now=now,
    )
    return ordered is not None


async def is_being_charged(conn: Connection, id_: UUID) -> bool:
    """Return whether a further year is charged, or paid and not renewed; `lock_domain` first."""
    return bool(await _queries.is_being_charged.fetch_value(conn, id=id_))


async def release_domain(conn: Connection, id_: UUID) -> bool:
    """Let others have a name that no tenant has; False if a tenant does, or nobody."""
    return await _queries.release_domain.fetch_value(conn, id=id_) is not None


async def number_command(conn: Connection, id_: UUID, driver: str) -> tuple[int, str | None] | None:
    """Return the number of the next command to a driver, and the driver's id of the domain.

    None if that driver has not registered it, or does something else about it.
    """
    row = await _queries.number_command.fetch_one(conn, id=id_, driver=driver)
    return (row["generation"], row["external_ref"]) if row else None


async def move_domain(conn: Connection, id_: UUID, subscription_id: UUID) -> bool:
    """Give it to another subscription of its customer; False if it cannot be."""
    return bool(
        await _queries.move_domain.fetch_value(conn, id=id_, subscription_id=subscription_id)
    )


async def adopt_domain(
    conn: Connection,
    row: dict[str, object],
    customer_id: UUID,
    subscription_id: UUID | None,
    found: AtRegistrar,
) -> UUID | None:
    """Add a name that the registrar has; None if there is no such customer, or it is taken."""
    columns = ("name", "unicode_name", "skeleton", "registrable")
    id_: UUID | None = await _queries.adopt_domain.fetch_value(
        conn,
        **{column: row[column] for column in columns},
        customer_id=customer_id,
        subscription_id=subscription_id,
        driver=found.driver,
        external_ref=found.external_ref,
        registered_at=found.registered_at,
        expires_at=found.expires_at,
    )
    return id_


async def take_in(conn: Connection, id_: UUID, found: AtRegistrar) -> None:
    """Have a registrar's driver manage a row from before there was one."""
    await _queries.take_in.execute(
        conn,
        id=id_,
        driver=found.driver,
        external_ref=found.external_ref,
        registered_at=found.registered_at,
        expires_at=found.expires_at,
    )
