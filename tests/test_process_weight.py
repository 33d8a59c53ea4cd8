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

BUILT_MODELS = """
import json
from mpanel_billing.cli import serve
from mpanel_billing.http.schemas.base import Request, Schema
models = {*Schema.__subclasses__(), *Request.__subclasses__()}
assert models
print(json.dumps([model.__name__ for model in models if model.__pydantic_complete__]))
"""

CLIENTS = """
import json
from mpanel_billing.stripe_gateway import gateway
from stripe._http_client import new_default_http_client, new_http_client_async_fallback
import requests
clients = new_default_http_client(), new_http_client_async_fallback()
print(json.dumps([*(type(client).__name__ for client in clients), requests.__name__]))
"""

UNUSED = {
    "stripe.params",  # the SDK's types of requests, which only a type checker reads: 3 MB
    "requests",  # the HTTP client of the SDK's synchronous calls: 4.5 MB
    "typer",  # parses the options of other commands: 1.2 MB
}


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
    assert loaded.isdisjoint({"pgqueuer", *UNUSED})


def test_without_the_console_nothing_of_it_is_loaded() -> None:
    loaded = loaded_by("serve")
    assert not {name for name in loaded if name.startswith(("mpanel_billing.console", "jinja2"))}
    assert loaded.isdisjoint({"aiohttp_jinja2", "markupsafe"})


def test_a_worker_loads_nothing_of_the_web_process() -> None:
    loaded = loaded_by("worker")
    assert "mpanel_billing.worker.process" in loaded
    assert not {name for name in loaded if name.startswith("mpanel_billing.http")}
    assert loaded.isdisjoint({"aiohttp.web", *UNUSED})


def test_the_models_of_requests_and_responses_are_built_when_they_are_first_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILT_MODELS], check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == []


def test_the_sdk_has_another_client_for_synchronous_calls_and_requests_can_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLIENTS], check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == ["UrllibClient", "AIOHTTPClient", "requests"]
