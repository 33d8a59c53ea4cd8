"""`billing_trouble` says of any world what the sentences of its registry say, no more and no less.

In each, our rows are what Stripe has, nobody is charged a price without notice, and what is not
paid for is not served. Worlds are made at Stripe, at the hosting service, in mPanel, by customers
and by operators; the checker reads the first two over HTTP. WORLD_EXAMPLES asks for more worlds
than `make test` has time for.
"""

import os
from typing import Any

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.worlds.after_sale import AFTER_SALE, MIGRATED, migrate_prices, pause, sell_classic
from tests.worlds.checker import UNDONE
from tests.worlds.clock import view_texts
from tests.worlds.happenings import (
    AFTER,
    HAPPENINGS,
    SALES,
    TIME,
    Happening,
    cancel,
    change_first_item,
    dispute,
    give_trial,
    ignore_price,
    leap,
    miss_a_term,
    order,
    retry,
    schedule_or_release,
    sell,
    skip_a_term,
)
from tests.worlds.stage import Stage, Steps, Story
from tests.worlds.town import Town, prices_by_key

EXAMPLES = int(os.environ.get("WORLD_EXAMPLES", "3"))


def _steps(happenings: tuple[Happening, ...], least: int, most: int) -> st.SearchStrategy[Steps]:
    step = st.tuples(st.sampled_from(happenings), st.integers(0, 11))
    return st.lists(step, min_size=least, max_size=most)


stories = st.builds(
    Story,
    before=st.builds(
        list.__add__,
        _steps((*SALES, sell_classic), 1, 3),
        _steps((*HAPPENINGS, *AFTER_SALE), 4, 20) | _steps((*AFTER_SALE, *TIME), 4, 20),
    ),
    after=_steps((*AFTER, *AFTER_SALE), 0, 4),
    stopped_minutes=st.sampled_from([None, None, None, 4, 14, 20, 2000, 50_000]),
    final=st.sampled_from(["cancel", "unpaid", "past_due"]),
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    # the same worlds in each `make test`; new ones in `make soak`
    derandomize="WORLD_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
    # a failure tells its whole story; to shorten it would take minutes
    phases=set(Phase) - {Phase.shrink, Phase.explain},
)
@given(story=stories)
def test_the_views_show_what_the_sentences_say(stage: Stage, story: Story) -> None:
    note(repr(story))
    ending = stage.play(story)
    assert ending.verdict.problems(ending.shown) == []
    assert ending.broken == []
    if story.stopped_minutes is None:
        assert ending.verdict.expected_of(UNDONE) == set()


RICH = Story(
    before=[
        (sell, 1),  # the first, at a negotiated price
        (skip_a_term, 0),  # its next term is kept as a draft
        (sell, 0),
        (miss_a_term, 1),  # the second is to be paid again
        (schedule_or_release, 1),
        (sell, 2),
        (schedule_or_release, 2),
        (order, 0),
        (order, 1),
        (change_first_item, 2),  # the third has an item that gives nothing
        (ignore_price, 2),
        (cancel, 7),  # the third
        (give_trial, 3),
        (give_trial, 5),  # to the same customer
        (sell, 3),
    ],
    after=[(cancel, 7), (retry, 2), (sell, 6), (dispute, 0), (dispute, 8)],
    stopped_minutes=2000,
    final="unpaid",
)

FAULTS = {
    "an old price of a product is not recognised": (
        "WHERE p.stripe_product_id = i.stripe_product_id\n        AND p.code IS NOT NULL",
        "WHERE FALSE",
    ),
    "the end of a schedule's subscription is overlooked": (
        """WHERE s.stripe_schedule_id IS NOT NULL
  AND s.stripe_status NOT IN ('canceled', 'incomplete_expired')""",
        "WHERE s.stripe_schedule_id IS NOT NULL",
    ),
    "what Stripe will try again is overdue": (
        "u.next_payment_attempt <= now() - interval '1 day'",
        "TRUE",
    ),
    "a trial after a trial is not seen": (
        "later.stripe_status = 'trialing'",
        "later.stripe_status = 'active'",
    ),
    "a draft that is meant to be one is left": (
        "AND s.collection_behavior IS DISTINCT FROM 'keep_as_draft'",
        "",
    ),
    "an account may be active for a month after the end": (
        "interval '15 minutes'\n    OFFSET 0\n) AS w\nJOIN tenant_services AS v",
        "interval '30 days'\n    OFFSET 0\n) AS w\nJOIN tenant_services AS v",
    ),
    "the time of a retry is that of the end": (
        "at_rest.decided_until\n",
        "at_rest.wake_at AS decided_until\n",
    ),
    "a dispute is only shown when its evidence is due": (
        "AND d.evidence_due_at > now() + interval '3 days'",
        "AND FALSE",
    ),
    "an order may wait for a week": (
        "AND w.created_at < now() - interval '5 minutes'",
        "AND w.created_at < now() - interval '7 days'",
    ),
}
"""Faults of the view that the checker has to see in one story: what is replaced, and by what."""


def test_the_checker_sees_faults_of_the_view(stage: Stage) -> None:
    text = view_texts()["views/billing_trouble.sql"]
    for right, _ in FAULTS.values():
        assert right in text, right
    faulty = {name: text.replace(right, wrong) for name, (right, wrong) in FAULTS.items()}
    ending = stage.play(RICH, faulty)
    assert ending.verdict.problems(ending.shown) == []
    overlooked = [name for name in FAULTS if not ending.verdict.problems(ending.shown_by[name])]
    assert overlooked == []


async def charge_early(town: Town, number: int) -> None:
    """Give somebody the newest price, whatever they were told."""
    held = await town.api.subscriptions.retrieve_async(town.sold[number])
    price = prices_by_key(await town.get_from_stripe("prices", active="true"))[MIGRATED]
    item: Any = {"id": held["items"].data[0].id, "price": price}
    await town.api.subscriptions.update_async(held.id, {"items": [item]})


async def forget_pause(town: Town, number: int) -> None:
    await town.pool.execute("DELETE FROM billing_pauses")


async def add_up_wrong(town: Town, number: int) -> None:
    name = town.ids[town.sold[number]]
    await town.pool.execute(
        "UPDATE invoices SET amount_credited = 1 WHERE subscription_id = $1", name
    )


SPOILED = Story(
    before=[
        *((sell_classic, number) for number in range(3)),
        (pause, 0),
        (migrate_prices, 3),  # all are told, and nobody pays it within 40 days
        (forget_pause, 0),
        (charge_early, 1),
        (leap, 5),  # past the end of the term
        (add_up_wrong, 2),
    ],
    after=[],
    stopped_minutes=None,
    final="unpaid",
)
"""In which the service breaks each promise once."""


def test_the_checker_sees_broken_promises(stage: Stage) -> None:
    ending = stage.play(SPOILED)
    seen = "\n".join(ending.broken)
    for sentence in ("its term is not charged, for a pause", "without notice", "'given back'"):
        assert sentence in seen, seen
    assert len(ending.broken) == 3
