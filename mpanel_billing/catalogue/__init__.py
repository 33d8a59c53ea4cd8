"""What is sold, for how much: the catalogue file, its rows, and the price of an order."""
