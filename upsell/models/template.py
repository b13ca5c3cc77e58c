"""What a message of a journey says: blocks in several languages, and their published versions."""

from __future__ import annotations

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from upsell.models.event import WrittenOnce


class MessageTemplate(models.Model):
    """The draft of a message; a journey's step names it by its slug."""

    class Medium(models.TextChoices):
        EMAIL = "email", _("e-mail")
        SMS = "sms", _("SMS")
        ONSITE = "onsite", _("on the shop's pages")
        PUSH = "push", _("push")

    slug = models.SlugField(_("slug"), max_length=80, unique=True)
    name = models.CharField(_("name"), max_length=120)
    medium = models.CharField(
        _("medium"), max_length=16, choices=Medium.choices, default=Medium.EMAIL
    )
    default_language = models.CharField(_("default language"), max_length=16, default="en")
    # Language to ``{"subject", "preheader", "blocks": [...]}``, as ``engine.blocks`` reads it.
    content = models.JSONField(_("content"), default=dict, encoder=DjangoJSONEncoder)
    version = models.ForeignKey(
        "upsell.TemplateVersion",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("version"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        ordering = ("name",)
        constraints = [
            models.CheckConstraint(
                condition=Q(medium__in=["email", "sms", "onsite", "push"]),
                name="upsell_template_medium_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TemplateVersion(WrittenOnce):
    """A message as it was published; a message that was sent stores which. Never changed."""

    template = models.ForeignKey(MessageTemplate, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("number"))
    content = models.JSONField(_("content"), encoder=DjangoJSONEncoder)
    default_language = models.CharField(max_length=16, default="en")
    published_at = models.DateTimeField(_("published"))
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )

    class Meta:
        verbose_name = _("version of a template")
        verbose_name_plural = _("versions of templates")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="upsell_template_once"),
        ]

    def __str__(self) -> str:
        return f"{self.template_id} v{self.number}"
