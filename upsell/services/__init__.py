"""Writes; one module per thing that can be done."""
