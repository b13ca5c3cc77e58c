"""A small shop on django-oscar's own package: what the tests run, and what can be served."""
