"""Every named query is valid on the migrated schema."""

import re
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

import mpanel_billing
from mpanel_billing.database.queries import Query, load_queries
from mpanel_billing.resources import QUERIES

_FILES = sorted(path.stem for path in Path(QUERIES).glob("*.sql"))
_LOADED = re.compile(r'^(\w+) = load_queries\("(\w+)"\)', re.MULTILINE)
_ALL = [(file, query) for file in _FILES for query in load_queries(file).by_name.values()]


def test_no_name_is_used_twice_in_a_file() -> None:
    for file in _FILES:
        text = (QUERIES / f"{file}.sql").read_text()
        names = Counter(
            line.split()[2].partition("(")[0]
            for line in text.splitlines()
            if line.startswith("-- name:")
        )
        assert [name for name, count in names.items() if count > 1] == []
        assert len(names) == len(load_queries(file).by_name)


@pytest.mark.parametrize(("file", "query"), _ALL, ids=[f"{f}.{q.name}" for f, q in _ALL])
async def test_every_query_can_be_prepared(file: str, query: Query, read_only_url: str) -> None:
    conn = await asyncpg.connect(read_only_url)
    try:
        statement = await conn.prepare(query.sql)
        assert len(statement.get_parameters()) == len(query.parameters)
    finally:
        await conn.close()


def test_every_query_that_a_repository_names_exists() -> None:
    unknown = []
    for path in Path(mpanel_billing.__file__).parent.rglob("*.py"):
        files = dict(_LOADED.findall(text := path.read_text()))
        used = {(name, query) for name in files for query in re.findall(rf"\b{name}\.(\w+)", text)}
        unknown += [
            f"{path.name}: {files[name]}.{query}"
            for name, query in used
            if query not in load_queries(files[name]).texts
        ]
    assert not unknown


async def test_a_query_refuses_parameters_that_it_does_not_declare(read_only_url: str) -> None:
    query = load_queries("subscriptions").notify
    conn = await asyncpg.connect(read_only_url)
    try:
        with pytest.raises(TypeError, match="takes"):
            await query.fetch(conn, subscription_ids=[], more=1)
    finally:
        await conn.close()


OF_BOTH_MODES = {
    "audit.settle_done": "asks Stripe nothing",
    "inbox.list_due_events": "only events of the process's own mode are received",
    "joining.list_joinable": "asks Stripe nothing",
    "messages.address_messages": "asks Stripe nothing; each goes to the receivers of its mode",
    "movements.fold_movements": "asks Stripe nothing",
    "operations.list_ignored_prices": "only shows them",
    "pauses.turn_pauses": "asks Stripe nothing",
    "proofs.claim_due": "asks nameservers, which have none of Stripe's modes",
    "provisioning.list_due_work": "services have no mode; charges and trials look at the work's",
    "provisioning.list_undone_work": "as list_due_work",
    "provisioning.renew_edited": "as list_due_work",
    "reconciliation.list_runs": "only shows them",
    "refetches.list_due_refetches": "Stripe has no object with an id of the other mode",
    "registrar.list_due": "asks a registrar, which has none of Stripe's modes",
    "revenue.fold_changes": "asks Stripe nothing",
    "usage.renew_freed": "as list_due_work",
}
"""Work that is handed out without looking at its mode, and why."""


def test_work_is_handed_out_by_mode() -> None:
    """A process has the key of one mode: what belongs to the other is not its to change.

    What hands out work takes how much at most, and perhaps the time, but names nothing.
    """
    handed_out = {
        f"{file}.{query.name}"
        for file, query in _ALL
        if "most" in query.parameters and {*query.parameters} <= {"most", "now"}
    }
    assert handed_out == set(OF_BOTH_MODES)


def test_only_repositories_load_queries() -> None:
    package = Path(mpanel_billing.__file__).parent
    modules = {
        path.relative_to(package)
        for path in package.rglob("*.py")
        if "load_queries(" in path.read_text()
    }
    others = {path for path in modules if "repository" not in path.with_suffix("").parts}
    assert others == {Path("database/queries.py")}
