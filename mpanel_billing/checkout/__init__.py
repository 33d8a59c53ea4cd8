"""From a buyer's order to a Checkout session, and what became of it."""
