"""The provider's own books. No shop reads them; it asks ``provider``."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class PayfriendPayment(models.Model):
    """A payment that a shop opened, once per key; nothing is taken before the shop takes it."""

    class State(models.TextChoices):
        OPEN = "open", "waits for the buyer"
        APPROVED = "approved", "approved by the buyer, not taken"
        CANCELLED = "cancelled"
        TAKEN = "taken"

    reference = models.CharField(max_length=40, unique=True)
    key = models.CharField(max_length=64, unique=True)
    merchant = models.CharField(max_length=60)
    text = models.CharField(max_length=120)
    amount = models.DecimalField(max_digits=19, decimal_places=4)
    currency = models.CharField(max_length=3)
    back = models.CharField("where the buyer goes back to", max_length=1000)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    refunded = models.DecimalField(max_digits=19, decimal_places=4, default=0)
    opened_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "Payfriend payment"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(refunded__gte=0, refunded__lte=models.F("amount")),
                name="payfriend_refunds_at_most_the_amount",
            )
        ]

    def __str__(self):
        return self.reference


class PayfriendRefund(models.Model):
    """Money given back, once per key."""

    payment = models.ForeignKey(PayfriendPayment, models.PROTECT, related_name="refunds")
    key = models.CharField(max_length=64, unique=True)
    amount = models.DecimalField(max_digits=19, decimal_places=4)

    def __str__(self):
        return self.key
