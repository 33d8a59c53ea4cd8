"""Operations performed without HTTP, on a world with something of everything."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox import SandboxConfig
from stripe_sandbox.api import Api, _Task
from stripe_sandbox.app import make_world
from stripe_sandbox.choices import Choices
from stripe_sandbox.errors import ApiError
from stripe_sandbox.faults import Faults, RateLimit
from stripe_sandbox.operations import Operation
from stripe_sandbox.params import check_params
from stripe_sandbox.resources import OPERATIONS
from stripe_sandbox.store import Store
from stripe_sandbox.world import Origin, World

BY_NAME = {f"{one.method} {one.path}": one for one in OPERATIONS}


def as_form(value: Any, names: Mapping[str, str]) -> Any:
    """Return a value of the API as `check_params` gets it; `$card` is the id with that name."""
    if isinstance(value, dict):
        return {name: as_form(one, names) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return {str(index): as_form(one, names) for index, one in enumerate(value)}
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return names[text[1:]] if text.startswith("$") else text


@dataclass
class Desk:
    """`names` are the ids of what has been made, by a short name.

    `sent` are the types of the events that operations have sent, by their name.
    """

    world: World = field(
        default_factory=lambda: make_world(
            Store(), SandboxConfig(seed=1, choices=Choices(event_time="clock"))
        )
    )
    names: dict[str, str] = field(default_factory=dict)
    sent: dict[str, set[str]] = field(default_factory=dict)

    def do(self, call: str, /, of: str = "", keep: str = "", **params: Any) -> dict[str, Any]:
        """Perform an operation for good; `of` names the object in the path, `keep` the result.

        What a refusal keeps, as a declined card, stays.
        """
        refusal = None
        with self.world.store.transaction():
            try:
                answer = self.perform(BY_NAME[call], of, as_form(params, self.names))
            except ApiError as error:
                if not error.keeps_changes:
                    raise
                refusal = error
        if refusal:
            raise refusal
        if keep:
            self.names[keep] = answer["id"]
        return answer

    def perform(self, operation: Operation, of: str, form: dict[str, Any]) -> dict[str, Any]:
        """Perform an operation within the caller's transaction."""
        params = check_params(form, operation.params)
        operation.refuse_unsupported(params)
        places = re.findall(r"{(\w+)}", operation.path)
        ids = dict(zip(places, self.names.get(of, of).split("/"), strict=False))
        task = _Task(operation, operation.path, ids, params, Origin(), "")
        return Api(self.world, Faults(), RateLimit())._perform(task)

    def outcome(
        self, operation: Operation, of: str, form: dict[str, Any], after: Any = None
    ) -> str:
        """Return the answer and what has changed, as text; the world stays as it was.

        `after` does what a param has its effect on, if that is later.
        """
        state = self.world.ids._random.getstate()
        with self.world.store.rehearsal():
            try:
                answer = self.perform(operation, of, form)
            except ApiError as error:
                if error.status != 402:
                    raise
                answer = error.body
            self._note_events(operation)
            if after:
                after(self, answer)
            text = json.dumps([answer, self._changed()], sort_keys=True, default=str)
        self.world.ids._random.setstate(state)
        return text

    def is_refused(self, operation: Operation, of: str, form: dict[str, Any]) -> bool:
        """Return whether the call is refused; the world stays as it was."""
        state = self.world.ids._random.getstate()
        with self.world.store.rehearsal():
            try:
                self.perform(operation, of, form)
            except ApiError as error:
                return error.status != 402
            finally:
                self.world.ids._random.setstate(state)
        return False

    def _note_events(self, operation: Operation) -> None:
        store = self.world.store
        found = [store.peek(*key) for key in store._journal or {} if key[0] == "event"]
        seen = self.sent.setdefault(f"{operation.method} {operation.path}", set())
        seen.update(event["type"] for event in found if event)

    def _changed(self) -> list[Any]:
        store = self.world.store
        return [[*key, store.peek(*key)] for key in store._journal or {}]
