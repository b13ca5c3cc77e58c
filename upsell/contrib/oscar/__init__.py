"""Offers in a shop made with django-oscar: list it before Oscar's own apps."""
