"""The committed schema is that of a migrated database."""

import re
from collections import Counter

import pytest

from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.dev.schema import SCHEMA, dump_schema, with_tables
from mpanel_billing.resources import QUERIES

FILES = sorted(path.name for path in QUERIES.glob("*.sql"))


def test_the_file_holds_the_schema_of_a_migrated_database(
    database_url: str, postgres: EmbeddedPostgres
) -> None:
    assert SCHEMA.read_text() == dump_schema(postgres.bin_dir, database_url), "run: make schema"


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_queries_begins_with_the_tables_as_they_stand(file: str) -> None:
    text = (QUERIES / file).read_text()
    assert text == with_tables(text, SCHEMA.read_text()), "run: make schema"
    if "\n-- Tables: " in text:
        assert text.index("\n-- Tables: ") < text.index("\n-- name: ")


def test_each_table_stands_in_one_file_of_queries() -> None:
    tables = re.findall(r"^CREATE (?:UNLOGGED )?TABLE (\w+)", SCHEMA.read_text(), re.MULTILINE)
    texts = [(QUERIES / file).read_text() for file in FILES]
    headers = re.findall(r"^-- Tables: (.+)$", "\n".join(texts), re.MULTILINE)
    named = Counter(name for header in headers for name in header.split(", "))
    assert named == Counter(table for table in tables if not table.startswith("pgqueuer"))
