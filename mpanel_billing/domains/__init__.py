"""Domain names: how they are written, who may order them, and who holds them."""
