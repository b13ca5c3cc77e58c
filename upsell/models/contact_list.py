"""Who was put on a contact list by a step of a journey."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _


class ListMemberQuerySet(models.QuerySet["ListMember"]):
    def known(self) -> Self:
        """Members who were not erased since."""
        return self.exclude(customer_key__startswith="x:")


class ListMember(models.Model):
    """One buyer on one contact list, once; what of them the shop needs to say where they are.

    No address is stored: the shop is asked for it, and for the consent, when a list is exported.
    """

    slug = models.CharField(_("list"), max_length=190)
    customer_key = models.CharField(max_length=200)
    user_ref = models.CharField(max_length=190, blank=True)
    order_ref = models.CharField(_("order"), max_length=190, blank=True)
    cart_ref = models.CharField(max_length=190, blank=True)
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    journey = models.ForeignKey(
        "upsell.Journey",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("journey"),
    )
    joined_at = models.DateTimeField(_("since"))

    objects = ListMemberQuerySet.as_manager()

    class Meta:
        verbose_name = _("contact list")
        verbose_name_plural = _("contact lists")
        default_permissions = ("view",)
        permissions = [("export_listmember", "Can export contact lists")]
        indexes = [models.Index(fields=["slug", "joined_at"], name="upsell_listmember_since")]
        constraints = [
            models.UniqueConstraint(fields=["slug", "customer_key"], name="upsell_listmember_once"),
        ]

    def __str__(self) -> str:
        return self.slug
