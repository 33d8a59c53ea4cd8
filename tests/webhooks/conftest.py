"""Fixtures for events."""

import pytest

from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.webhooks.pair import Pair


@pytest.fixture
async def pair(inbox: Inbox) -> Pair:
    for number in (1, 2):
        name, customer = f"sub_{number}", f"cus_{number}"
        about = made.subscription(name, customer=customer)
        await inbox.deliver("customer.subscription.created", about)
        first = made.invoice(f"in_first_{number}", subscription=name, customer=customer)
        await inbox.deliver("invoice.paid", first)
    return Pair(inbox)
