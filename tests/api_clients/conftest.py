"""The folder in which the generators are installed."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("CLIENTS_FOLDER")
    return Path(kept) if kept else tmp_path_factory.mktemp("clients")
