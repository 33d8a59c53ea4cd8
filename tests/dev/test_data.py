import stat
import subprocess
from pathlib import Path

import pytest

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
