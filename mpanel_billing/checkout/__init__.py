"""From a buyer's order to a Checkout session, and the order's status afterwards."""
