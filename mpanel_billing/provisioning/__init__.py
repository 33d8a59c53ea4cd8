"""Drive what a subscription is entitled to into the outside world, until it is so."""
