"""Bindings to what others wrote; each its own Django app with its own extra."""
