"""What commands load: lists and simple looks do without the SDK, the web framework, the program."""

import inspect
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import typer

from mpanel_billing.cli import COMMANDS, SENTENCES
from tests.processes import service_environment

LOADED_BY = """
import io, json, sys
from contextlib import redirect_stdout
from mpanel_billing.cli import main
loaded = {}
for words in json.loads(sys.argv[1]):
    sys.argv = ["mpanel-billing", *words]
    with redirect_stdout(io.StringIO()):
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
    loaded[" ".join(words)] = [status, sorted({name.partition(".")[0] for name in sys.modules})]
print(json.dumps(loaded))
"""

LOOKS = [
    ["keys", "list"],
    ["audit", "list"],
    ["catalog", "check"],
    ["catalog", "show"],
    ["catalog", "apply", "--dry-run"],
    ["migrate", "status"],
    ["prune", "--dry-run"],
    ["database", "grants", "--owner", "panel", "--runtime", "billing"],
    ["events", "list"],
    ["provision", "list"],
]


def loaded_by(
    commands: Sequence[Sequence[str]], environment: dict[str, str]
) -> dict[str, tuple[int, set[str]]]:
    """Run commands one after the other in one process: the exit status, and what is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED_BY, json.dumps(commands)],
        env={"PATH": os.environ["PATH"], **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    return {words: (status, set(names)) for words, (status, names) in found.items()}


def test_the_list_of_commands_loads_none_of_them() -> None:
    loaded = loaded_by([["--help"], ["--version"], []], {})
    assert [status for status, _ in loaded.values()] == [0, 0, 2]
    _, names = loaded[""]
    assert names.isdisjoint({"aiohttp", "asyncpg", "asyncio", "pydantic", "stripe", "typer"})


def test_commands_that_only_look_load_neither_the_stripe_sdk_nor_aiohttp(
    database_url: str,
) -> None:
    settings = service_environment(database_url, "http://127.0.0.1:1")
    for words, (status, names) in loaded_by(LOOKS, settings).items():
        assert status == 0, words
        assert names.isdisjoint({"aiohttp", "pgqueuer", "prometheus_client", "stripe"}), words


def test_the_list_says_of_each_command_what_its_own_help_says() -> None:
    assert list(SENTENCES) == list(COMMANDS)
    for name, target in COMMANDS.items():
        module, _, attribute = target.partition(":")
        command = getattr(import_module(module), attribute)
        help_ = command.info.help if isinstance(command, typer.Typer) else inspect.getdoc(command)
        assert SENTENCES[name] == str(help_).partition("\n")[0], name


def test_the_list_of_commands_costs_at_most_four_times_an_empty_program() -> None:
    program = str(Path(sys.executable).with_name("mpanel-billing"))
    nothing = cpu_seconds([sys.executable, "-c", "pass"])
    assert cpu_seconds([program, "--help"]) <= 4 * nothing


def cpu_seconds(command: Sequence[str]) -> float:
    """Return the CPU of a process: the least of several, as others disturb it."""
    return min(_cpu_seconds(command) for _ in range(5))


def _cpu_seconds(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
