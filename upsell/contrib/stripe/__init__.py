"""Offers paid with the card of the order, through Stripe. Needs the extra ``[stripe]``."""
