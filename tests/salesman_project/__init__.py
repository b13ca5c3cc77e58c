"""A small shop on django-salesman's own package, in a project of its own."""
