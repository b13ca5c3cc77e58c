"""Ways out of the shop: what is sent over them is written elsewhere."""
