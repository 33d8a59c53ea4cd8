"""What is acknowledged is committed."""

import pytest

from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.webhooks.batching import EventBatcher
from tests.inbox import Inbox
from tests.webhooks.pair import Pair, renewal
from tests.webhooks.test_batching import update

LOST_AT_COMMIT = """
CREATE FUNCTION be_lost() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'lost at commit';
END $$;
CREATE CONSTRAINT TRIGGER lost AFTER INSERT ON stripe_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION be_lost()
"""


async def test_an_event_whose_commit_fails_is_not_acknowledged(inbox: Inbox) -> None:
    await inbox.pool.execute(LOST_AT_COMMIT)
    with pytest.raises(DatabaseUnavailableError):
        await EventBatcher(inbox.pool).receive(update(1))


async def test_a_fast_path_event_whose_commit_fails_is_not_acknowledged(
    pair: Pair,
) -> None:
    await pair.inbox.pool.execute(LOST_AT_COMMIT)
    with pytest.raises(DatabaseUnavailableError):
        await EventBatcher(pair.inbox.pool).receive(renewal())
