"""What carries orders out in the outside world: one driver for each product type."""
