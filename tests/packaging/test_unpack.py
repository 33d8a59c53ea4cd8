"""What an installed package gives its operators: files, and a clear no where it has none."""

from pathlib import Path

import pytest

from mpanel_billing.database import dbmate, migrations
from mpanel_billing.database.migrations import MIGRATIONS, MigrationError
from mpanel_billing.resources import FOR_OPERATORS, ROOT
from tests.commands import run_command


async def unpack(*words: str) -> str:
    ended = await run_command("postgresql://nobody@127.0.0.1:1/none", "unpack", *words)
    assert (ended.status, ended.err) == (0, "")
    return ended.out


async def test_the_files_are_written_and_written_again_only_on_request(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    written = await unpack(str(folder))
    for name in FOR_OPERATORS:
        assert (folder / name).exists()
    assert (folder / "docs" / "deployment.md").read_bytes() == (
        ROOT / "docs" / "deployment.md"
    ).read_bytes()
    units = {unit.name for unit in (folder / "deploy" / "systemd").iterdir()}
    assert units == {unit.name for unit in (ROOT / "deploy" / "systemd").iterdir()}
    assert written.endswith(f"files written to {folder}\n")

    assert await unpack(str(folder)) == f"0 files written to {folder}\n"
    mine = folder / "ecosystem.config.js"
    mine.write_text("// mine")
    assert f"kept {mine}, which differs" in await unpack(str(folder))
    assert mine.read_text() == "// mine"
    assert await unpack(str(folder), "--overwrite") == f"1 files written to {folder}\n"
    assert mine.read_bytes() == (ROOT / "ecosystem.config.js").read_bytes()


async def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("not a folder")
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    ended = await run_command(nowhere, "unpack", str(tmp_path / "docs"))
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "cannot write" in ended.err


async def test_an_installed_package_takes_no_new_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "IS_PACKAGED", True)
    before = sorted(MIGRATIONS.iterdir())
    with pytest.raises(MigrationError, match="written in a checkout of the repository"):
        await migrations.new("add_order_notes")
    assert sorted(MIGRATIONS.iterdir()) == before


async def test_dbmate_leaves_the_env_file_of_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only_url: str
) -> None:
    (tmp_path / ".env").write_text('A="x\nDBMATE_MIGRATIONS_TABLE=other\n')
    monkeypatch.chdir(tmp_path)
    assert all(migration.applied for migration in await migrations.status(read_only_url))


def test_dbmate_is_found_where_its_package_is() -> None:
    assert dbmate.find_dbmate().is_file()
