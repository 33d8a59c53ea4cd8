import re
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic_core import PydanticUndefined

from mpanel_billing.settings import Settings, load_settings

EXAMPLE = Path(__file__).parent.parent / ".env.example"
FIELDS = {(field.alias or name).upper(): field for name, field in Settings.model_fields.items()}
LINE = re.compile(r"^(#?)([A-Z][A-Z_]*)=(.*)$", re.MULTILINE)
LINES = {name: (bool(mark), value) for mark, name, value in LINE.findall(EXAMPLE.read_text())}


def test_every_setting_is_in_the_example_and_nothing_else():
    assert LINES.keys() == FIELDS.keys()


def test_what_has_no_default_is_set_and_what_has_one_is_commented_out():
    optional = {name for name, field in FIELDS.items() if field.default is not PydanticUndefined}
    assert {name for name, (commented, _) in LINES.items() if commented} == optional


@pytest.mark.parametrize("name", [name for name, (commented, _) in LINES.items() if commented])
def test_a_commented_line_shows_the_default(name):
    default = FIELDS[name].default
    if name != "CORS_ORIGIN":  # shows what one looks like; there are none by default
        shown = ",".join(default) if isinstance(default, tuple) else default
        assert LINES[name][1] == ("" if shown is None else str(shown).replace("False", "false"))


def test_the_example_is_valid_once_the_keys_are_filled_in(monkeypatch, tmp_path):
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(EXAMPLE.read_text().replace("_replace_me", "_filled_in"))
    settings = load_settings()
    assert str(settings.app_url).rstrip("/") == dotenv_values(EXAMPLE)["APP_URL"]
