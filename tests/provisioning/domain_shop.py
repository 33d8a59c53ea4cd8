"""A system that sells domains, and a registrar that it orders them at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
from cryptography.fernet import Fernet
from pydantic import SecretStr

from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.domains.names import read_name
from mpanel_billing.domains.repository.names import hand_in_auth_code
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.registrar.run import Registering, see_to_domain
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.reference_registrar import ReferenceRegistrar
from tests.service import make_settings

KEY = SecretStr(Fernet.generate_key().decode())
ADA = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "030 1234567",
    "address_line1": "12 St James's Square",
    "city": "Berlin",
    "postal_code": "10115",
    "country": "DE",
}


@dataclass
class Shop:
    """A system with a registrar, and what it sells."""

    system: ProvisioningSystem
    registrar: ReferenceRegistrar
    registering: Registering

    async def order(self, mode: str, name: str = "ada.com", **customer: Any) -> None:
        """Sell a plan with a domain, not paid yet."""
        await self.system.deliver_subscription("active")
        await self.system.pool.execute(
            "UPDATE subscriptions SET metadata = $1", {"domainMode": mode, "domainValue": name}
        )
        told = {**ADA, **customer}
        columns = ", ".join(f"{column} = ${place}" for place, column in enumerate(told, 1))
        await self.system.pool.execute(f"UPDATE customers SET {columns}", *told.values())

    async def pay(self, total: int = 3899) -> None:
        await self.system.deliver_invoice("paid", total=total)
        assert (await self.system.run()).done

    async def sell(self, mode: str, name: str = "ada.com", **customer: Any) -> None:
        await self.order(mode, name, **customer)
        await self.pay()

    async def row(self, name: str = "ada.com") -> asyncpg.Record:
        return await self.system.inbox.row("SELECT * FROM billing_domains WHERE name = $1", name)

    async def look(self, name: str = "ada.com") -> asyncpg.Record:
        """Have the worker look at a domain now, and return its row afterwards."""
        row = await self.row(name)
        await self.system.pool.execute(
            "UPDATE billing_domains SET next_attempt_at = now()"
            " WHERE id = $1 AND next_attempt_at IS NOT NULL",
            row["id"],
        )
        await see_to_domain(self.registering, row["id"])
        after = await self.row(name)
        assert (after["lease_token"], after["leased_until"]) == (None, None)
        return after


@asynccontextmanager
async def open_shop(system: ProvisioningSystem) -> AsyncIterator[Shop]:
    """Have the system sell domains."""
    async with ReferenceRegistrar().running() as registrar:
        services = {"domain": registrar.endpoint()}
        settings = make_settings(provisioning_services=services, encryption_keys=(KEY,))
        async with open_drivers(settings) as opened:
            drivers = replace(system.provisioning.drivers, registrar=opened.registrar)
            system.provisioning = replace(system.provisioning, drivers=drivers)
            codes = AuthCodes(settings.encryption_keys)
            yield Shop(system, registrar, Registering(system.pool, drivers, codes))


async def hand_in(shop: Shop, code: str, name: str = "ada.com") -> bool:
    encrypted = shop.registering.auth_codes.encrypt(SecretStr(code))
    async with acquired(shop.system.pool) as conn:
        return await hand_in_auth_code(conn, read_name(name), encrypted) is not None
