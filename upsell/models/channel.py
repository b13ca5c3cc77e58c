"""What staff may set per sales channel, and which channels a member of staff may touch."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from upsell.engine.experiments import HOLDOUT_SALT
from upsell.models.versioned import Versioned


class ChannelSettings(Versioned):
    """One row per sales channel, and one with an empty code for all. Null = as in the settings."""

    channel = models.CharField(_("sales channel"), max_length=190, unique=True, blank=True)
    enabled = models.BooleanField(
        _("offers on"),
        default=True,
        help_text=_(
            "The master switch: off means no new offers, and open ones cannot be accepted."
        ),
    )
    validity = models.DurationField(
        _("validity"),
        null=True,
        blank=True,
        help_text=_("How long after checkout an offer stands: 5 to 120 minutes. Empty: 30."),
    )
    confirmation_mail = models.BooleanField(_("confirmation mail"), null=True, blank=True)
    sender = models.CharField(_("sender"), max_length=254, blank=True)
    staff_address = models.EmailField(_("staff address"), blank=True)
    postal_address = models.CharField(_("postal address"), max_length=300, blank=True)
    hold = models.BooleanField(_("hold fulfilment while an offer is open"), null=True, blank=True)
    undo_time = models.DurationField(_("time to undo"), null=True, blank=True)
    holdout = models.PositiveSmallIntegerField(
        _("holdout, percent"),
        default=0,
        help_text=_("Share of buyers who are never offered anything, to measure against."),
    )
    # Another salt holds out other buyers.
    holdout_salt = models.CharField(max_length=64, default=HOLDOUT_SALT, editable=False)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)
    # When nobody is written to, by the buyer's clock: both or neither; two equal times = never.
    quiet_email_from = models.TimeField(_("no e-mails from"), null=True, blank=True)
    quiet_email_until = models.TimeField(_("no e-mails until"), null=True, blank=True)
    quiet_sms_from = models.TimeField(_("no SMS from"), null=True, blank=True)
    quiet_sms_until = models.TimeField(_("no SMS until"), null=True, blank=True)
    # What goes along with an order here: products with one of these.
    ancillary_tags = models.JSONField(_("tags of ancillaries"), default=list, blank=True)
    ancillary_categories = models.JSONField(
        _("categories of ancillaries"), default=list, blank=True
    )
    ask_satisfaction = models.BooleanField(
        _("ask how it was"),
        default=False,
        help_text=_(
            "One optional question, 1 to 5, below what became of an offer: accepted or declined."
        ),
    )

    class Meta:
        verbose_name = _("channel settings")
        verbose_name_plural = _("channel settings")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(holdout__lte=100), name="upsell_channel_holdout_share"
            ),
            models.CheckConstraint(
                condition=models.Q(quiet_email_from=None, quiet_email_until=None)
                | models.Q(quiet_email_from__isnull=False, quiet_email_until__isnull=False),
                name="upsell_channel_quiet_email",
            ),
            models.CheckConstraint(
                condition=models.Q(quiet_sms_from=None, quiet_sms_until=None)
                | models.Q(quiet_sms_from__isnull=False, quiet_sms_until__isnull=False),
                name="upsell_channel_quiet_sms",
            ),
        ]

    def __str__(self) -> str:
        return self.channel or str(_("all channels"))


class ChannelAccess(models.Model):
    """Limits a member of staff to a sales channel. No row: all channels."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="upsell_channels"
    )
    channel = models.CharField(_("sales channel"), max_length=190)

    class Meta:
        verbose_name = _("channel access")
        verbose_name_plural = _("channel access")
        constraints = [
            models.UniqueConstraint(fields=["user", "channel"], name="upsell_access_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.channel}"
