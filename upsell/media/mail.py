"""A mail whose headers stay whole: a link to leave by is longer than a line."""

from __future__ import annotations

import email.policy
from typing import Any

import django
from django.core.mail import EmailMultiAlternatives

LONGEST_LINE = 998
"""Of a line in a mail, by RFC 5322."""


class Mail(EmailMultiAlternatives):
    """A mail of ours.

    Since Django 6.0 a header without a space in its first 78 characters is written as encoded
    words, and no mail program finds the link in it. RFC 5322 allows 998.
    """

    def message(self, **options: Any) -> Any:
        if django.VERSION >= (6, 0):
            policy = options.pop("policy", email.policy.default)
            options["policy"] = policy.clone(max_line_length=LONGEST_LINE)
        return super().message(**options)
