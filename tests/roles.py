"""The roles that the service's processes have in tests, as docs/deployment.md recommends.

Tests themselves look at a database as its owner; the processes may do no more than in production.
"""

from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr

from mpanel_billing.database.grants import grants
from mpanel_billing.database.privileges import RUNTIME, Process
from mpanel_billing.settings import Settings

WEB_ROLE = "tests_web"
RUNTIME_ROLE = "tests_runtime"
KEYS_ROLE = "tests_web_with_keys"
ROLES = {
    WEB_ROLE: (Process.WEB,),
    RUNTIME_ROLE: RUNTIME,
    KEYS_ROLE: (Process.WEB, Process.KEYS),
}

_granted: set[str] = set()
"""The databases of this process that are copies of one in which the roles have their rights."""

GRANTED_TEMPLATES = {
    "billing_template",
    "billing_stocked",
    "mpanel_migrated",
    "mpanel_migrated_empty",
}


async def create_roles(url: str) -> None:
    """Create the roles; a server has them once, for all its databases."""
    connection = await asyncpg.connect(url)
    for role in ROLES:
        await connection.execute(f"CREATE ROLE {role} LOGIN")
    await connection.close()


async def grant_to_roles(url: str, owner: str) -> None:
    """Give the roles their rights in a migrated database."""
    connection = await asyncpg.connect(url)
    try:
        for role, processes in ROLES.items():
            await connection.execute(grants(owner, role, processes, add_only=False))
    finally:
        await connection.close()


def note_granted(url: str) -> None:
    """Remember a database in which the roles have their rights."""
    _granted.add(urlsplit(url).path)


def under_role(url: str, role: str) -> str:
    """The address of a database for a role, if it has its rights there; else as it is."""
    parts = urlsplit(url)
    if parts.path not in _granted:
        return url
    return urlunsplit(parts._replace(netloc=f"{role}:@{parts.netloc.rpartition('@')[2]}"))


def settings_under(settings: Settings, role: str) -> Settings:
    """The same settings with the addresses of the database for a role."""
    urls = {
        name: SecretStr(under_role(url.get_secret_value(), role))
        for name in ("database_url", "database_direct_url")
        if (url := getattr(settings, name))
    }
    return settings.model_copy(update=urls)
