"""The pages of the console, and what is done on them."""
