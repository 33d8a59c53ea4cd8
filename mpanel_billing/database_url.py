"""Reads DATABASE_URL, also in Prisma's dialect: mPanel's own .env has it so."""

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_VERIFYING = frozenset({"verify-ca", "verify-full"})
_ROOTS_OF_USER = Path("~/.postgresql/root.crt")

_SERVER = re.compile(r"(\[[^\]]*\]|[^\[\]:]*)(:(?P<port>[0-9]{1,5}))?")

_PRISMA_ONLY = frozenset(
    {
        "schema",
        "connection_limit",
        "pool_timeout",
        "connect_timeout",
        "socket_timeout",
        "max_idle_connection_lifetime",
        "single_use_connections",
        "statement_cache_size",
        "pgbouncer",
        "sslaccept",
    }
)
"""Parameters of Prisma that are no settings of PostgreSQL (its documentation, 2025)."""


class DatabaseUrl(NamedTuple):
    """An address for asyncpg and dbmate.

    `ignored` are parameters that only mean something to Prisma; `bounced` says that the address is
    PgBouncer's.
    """

    text: str
    ignored: tuple[str, ...] = ()
    bounced: bool = False


def read_database_url(text: str) -> DatabaseUrl:
    """Translate an address; ValueError without the address, which has a password."""
    _check(text)
    parts = urlsplit(text)
    params = dict(parse_qsl(parts.query))
    ignored = tuple(name for name in params if name in _PRISMA_ONLY)
    _refuse_identity_file(params)
    if not ignored:
        return DatabaseUrl(_with_roots(text))
    kept = {name: value for name, value in params.items() if name not in ignored}
    kept = _with_verification(kept) if params.get("sslaccept") == "strict" else kept
    _refuse_other_schema(params.get("schema", "public"))
    return DatabaseUrl(
        _with_roots(urlunsplit(parts._replace(query=urlencode(kept)))),
        ignored,
        bounced=params.get("pgbouncer") == "true",
    )


def _with_verification(params: dict[str, str]) -> dict[str, str]:
    """Verify the server's certificate; Prisma's `sslcert` is that of the authority."""
    roots = {"sslrootcert": params["sslcert"]} if "sslcert" in params else {}
    others = {name: value for name, value in params.items() if name != "sslcert"}
    return others | {"sslmode": "verify-full"} | roots


def _with_roots(url: str) -> str:
    """Name the authorities to verify by in a file: asyncpg and dbmate look in different places.

    `sslrootcert=system` are those of the system. So is none, unless the user has root.crt, where
    PostgreSQL's own programs look.
    """
    params = dict(parse_qsl(urlsplit(url).query))
    file = params.get("sslrootcert")
    if file is None and params.get("sslmode") not in _VERIFYING:
        return url
    if file is None and _ROOTS_OF_USER.expanduser().exists():
        file = str(_ROOTS_OF_USER.expanduser())
    if file in {None, "system"}:
        file = ssl.get_default_verify_paths().cafile
    if file is None or not os.access(file, os.R_OK):
        msg = f"has sslrootcert={file or 'system'}, which cannot be read"
        raise ValueError(msg)
    return with_params(url, sslrootcert=file)


def _refuse_identity_file(params: Mapping[str, str]) -> None:
    if "sslidentity" in params:
        msg = "has sslidentity, which is not supported: use sslcert, sslkey and sslrootcert"
        raise ValueError(msg)


def _refuse_other_schema(schema: str) -> None:
    if schema != "public":
        msg = f"has schema={schema}: mPanel's tables must be in the schema public"
        raise ValueError(msg)


def _check(text: str) -> None:
    """Refuse what asyncpg cannot parse: its own error would quote part of the password."""
    if not text.startswith(("postgres://", "postgresql://")):
        msg = "must start with postgresql://"
        raise ValueError(msg)
    if not _is_parseable(text):
        msg = (
            "is not a valid URL; in user and password encode / ? # @ : % as %2F %3F %23 %40 %3A %25"
        )
        raise ValueError(msg)


def _is_parseable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        return False
    servers = parts.netloc.rpartition("@")[2].split(",")
    return not parts.fragment and all(map(_is_server, servers))


def _is_server(text: str) -> bool:
    """Return whether it is `host` or `host:port`; the host may be in the query instead."""
    found = _SERVER.fullmatch(text)
    return found is not None and int(found["port"] or 1) in range(1, 65_536)


_AGREED_ON = frozenset({"disable", "require", "verify-ca", "verify-full"})
"""The values of sslmode that asyncpg and dbmate take alike."""


def leaves_tls_open(url: str) -> bool:
    """Whether the client decides about TLS: asyncpg and dbmate do so differently."""
    return dict(parse_qsl(urlsplit(url).query)).get("sslmode") not in _AGREED_ON


def is_socket(url: str) -> bool:
    """Whether the server is reached over a Unix socket, which never has TLS."""
    parts = urlsplit(url)
    host = dict(parse_qsl(parts.query)).get("host") or parts.netloc.rpartition("@")[2]
    return unquote(host).startswith("/")


def with_params(url: str, **params: str) -> str:
    """Set parameters of an address."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | params)))


def servers_of(url: str) -> list[str]:
    """Return one address for each server that an address names."""
    parts = urlsplit(url)
    account, at, servers = parts.netloc.rpartition("@")
    if servers:
        return [
            urlunsplit(parts._replace(netloc=f"{account}{at}{one}")) for one in servers.split(",")
        ]
    params = dict(parse_qsl(parts.query))
    hosts, ports = (params.get(name, "").split(",") for name in ("host", "port"))
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if len(hosts) == 1 or len(ports) != len(hosts):  # asyncpg says what is wrong
        return [url]
    pairs = zip(hosts, ports, strict=True)
    return [with_params(url, host=host, **({"port": port} if port else {})) for host, port in pairs]


def server_name(url: str) -> str:
    """Return host and port of a single server's address, without the rest: for messages."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "")


def target_of(url: str) -> str | None:
    """Return what kind of server the address asks for."""
    return dict(parse_qsl(urlsplit(url).query)).get("target_session_attrs")


def for_target(url: str, target: str | None) -> str:
    """Ask for another kind of server; None for none, which dbmate needs."""
    if target is not None:
        return with_params(url, target_session_attrs=target)
    if target_of(url) is None:
        return url
    parts = urlsplit(url)
    params = dict(parse_qsl(parts.query))
    del params["target_session_attrs"]
    return urlunsplit(parts._replace(query=urlencode(params)))
