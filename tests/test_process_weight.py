"""What the processes load, and so keep in memory: what each needs, and not what the other does."""

import json
import subprocess
import sys

LOADED_BY = """
import importlib, json, sys
importlib.import_module("mpanel_billing.cli.program")
importlib.import_module(sys.argv[1])
print(json.dumps(list(sys.modules)))
"""

TYPES_OF_REQUESTS = "stripe.params"
"""The SDK's types of requests: 3 MB that only a type checker reads."""


def loaded_by(command: str) -> set[str]:
    """Return the modules that a process of this command has loaded when it starts."""
    module = f"mpanel_billing.cli.{command}"
    done = subprocess.run(
        [sys.executable, "-c", LOADED_BY, module], check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout))


def test_a_web_process_loads_nothing_of_the_worker() -> None:
    loaded = loaded_by("serve")
    assert "mpanel_billing.http.app" in loaded
    assert not {name for name in loaded if name.startswith("mpanel_billing.worker")}
    assert TYPES_OF_REQUESTS not in loaded


def test_a_worker_loads_nothing_of_the_web_process() -> None:
    loaded = loaded_by("worker")
    assert "mpanel_billing.worker.process" in loaded
    assert not {name for name in loaded if name.startswith("mpanel_billing.http")}
    assert loaded.isdisjoint({"aiohttp.web", TYPES_OF_REQUESTS})
