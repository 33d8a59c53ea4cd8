"""What is sold and at what price: the catalogue file, its rows, and the pricing of orders."""
