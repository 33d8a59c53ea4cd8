"""Lifecycles of subscriptions: what happens at Stripe, and the events about it.

A lifecycle is a list of steps; `live` lets them happen to one subscription and records every event
with the snapshots of that moment.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tests.convergence.life import MONTH, Life
from tests.convergence.steps import STEPS, take_step

_STEP = st.sampled_from(list(STEPS))
_OFTEN = st.sampled_from(["renew", "fail", "send", "fail", "recover", "write_off", "delete"])
_OFTEN |= st.sampled_from(["change_term", "change_quantity", "pause", "delete", "come_back"])
_OFTEN |= st.sampled_from(["refund", "credit", "dispute", "dispute", "plan_ahead", "begin_phase"])

LIVES = st.lists(
    st.fixed_dictionaries(
        {
            "trial": st.booleans(),
            "ordered": st.booleans(),
            "classic": st.booleans(),
            "recovered": st.booleans(),
            "steps": st.lists(
                st.tuples(_STEP | _OFTEN, st.sampled_from([0, 0, 0, 1, 5, MONTH])), max_size=8
            ),
        }
    ),
    min_size=1,
    max_size=3,
)


def live(plan: Mapping[str, Any], name: str, order: UUID | None) -> Life:
    """Run one life; return it with all its events in order."""
    life = Life(name, order, plan["trial"], plan["classic"])
    life.begin(recovered=plan["recovered"])
    for step, wait in plan["steps"]:
        take_step(life, step, wait)
    return life


def disordered(events: Sequence[dict[str, Any]], chance: Any) -> list[dict[str, Any]]:
    """Deliver events in a random order, some twice; the last few may never come."""
    delivered = [*events, *chance.sample(events, len(events) // 3)]
    chance.shuffle(delivered)
    return delivered
