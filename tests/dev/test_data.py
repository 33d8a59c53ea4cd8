import stat
import subprocess
from pathlib import Path

import pytest

from mpanel_billing.database.migrations import digest_migrations
from mpanel_billing.dev.data import (
    DataFolder,
    DataFolderError,
    open_data_folder,
    throw_away_data_folder,
)


def test_secrets_are_made_once_and_only_for_the_owner(tmp_path):
    made = DataFolder(tmp_path).stripe_secrets()
    assert DataFolder(tmp_path).stripe_secrets() == made
    assert made.secret_key.startswith("sk_test_")
    assert made.webhook_secret.startswith("whsec_")
    key = DataFolder(tmp_path).operators_key()
    assert DataFolder(tmp_path).operators_key() == key
    for name in ("stripe.json", "operator.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_data_of_migrations_that_were_edited_since_is_refused(tmp_path):
    folder = DataFolder(tmp_path)
    folder.require_same_migrations({"1_a.sql": "x"})
    assert not folder.knows_migrations
    folder.keep_migrations({"1_a.sql": "x", "2_b.sql": "y"})
    assert folder.knows_migrations
    folder.require_same_migrations({"1_a.sql": "x", "2_b.sql": "y", "3_c.sql": "z"})
    folder.require_same_migrations({"1_a.sql": "x"})  # of newer code
    for edited in ({"1_a.sql": "x", "2_b.sql": "z"}, {"1_b.sql": "x", "2_b.sql": "y"}):
        with pytest.raises(DataFolderError, match=f"older version.*: remove {tmp_path}"):
            folder.require_same_migrations(edited)


def test_a_comment_makes_no_other_migration(tmp_path):
    file = tmp_path / "1_a.sql"
    file.write_text("-- migrate:up\nCREATE TABLE a (id integer);\n-- migrate:down\nDROP TABLE a;\n")
    before = digest_migrations(tmp_path)
    file.write_text("-- Why.\n\n" + file.read_text())
    assert digest_migrations(tmp_path) == before
    file.write_text(file.read_text().replace("integer", "bigint"))
    assert digest_migrations(tmp_path).keys() == before.keys()
    assert digest_migrations(tmp_path) != before


def test_a_shell_can_take_the_settings_over(tmp_path):
    file = DataFolder(tmp_path).write_settings({"NAME": "it's $HOME", "OTHER": "1"})
    printed = subprocess.check_output(["sh", "-c", f'. "{file}"; env'], text=True).splitlines()
    assert {"NAME=it's $HOME", "OTHER=1"} <= set(printed)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_is_for_one_process_at_a_time(tmp_path):
    with (
        open_data_folder(tmp_path / "data"),
        pytest.raises(DataFolderError, match=r"in use by process \d+; stop it or choose"),
        open_data_folder(tmp_path / "data"),
    ):
        pass
    with open_data_folder(tmp_path / "data"):
        pass


def test_a_path_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataFolderError, match=r"cannot use .*file/data \(--data-dir\)"),
        open_data_folder(tmp_path / "file" / "data"),
    ):
        pass


def test_a_throw_away_folder_is_gone_afterwards():
    with throw_away_data_folder() as folder:
        folder.stripe_secrets()
        path: Path = folder.path
    assert not path.exists()
