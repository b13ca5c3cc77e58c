"""The first campaign, led through: one product, one offer; who sees it; look, try, go live."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import conf
from upsell.admin.access import allowed_channels
from upsell.admin.fields import site_language
from upsell.admin.widgets import ShopSelect, label_of, labels
from upsell.models import Campaign
from upsell.ports import Capability
from upsell.presenting.campaigns import sentence, unseen
from upsell.services import campaigns

_PLACES = {"product_ref": "offered", "triggers": "bought", "kind": "kind", "channels": "channels"}


def invitation(model_admin: Any, request: HttpRequest) -> dict[str, Any]:
    """Return what the list says while there is no campaign, or one that nobody sees yet."""
    some = list(model_admin.get_queryset(request)[:2])
    unfinished = [row for row in some if row.status != Campaign.Status.LIVE]
    return {
        "upsell_first": not some,
        "upsell_unfinished": unfinished[0] if len(some) == 1 and unfinished else None,
    }


class FirstForm(forms.Form):
    """As little as makes a good campaign; everything else keeps its careful default."""

    bought = forms.CharField(
        label=gettext_lazy("Who buys this"),
        widget=ShopSelect("product"),
        help_text=gettext_lazy("Begin with one of your best sellers."),
    )
    offered = forms.CharField(
        label=gettext_lazy("is offered this"),
        widget=ShopSelect("product"),
        help_text=gettext_lazy("What a good shop assistant would mention."),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("What happens to what was bought"),
        widget=forms.RadioSelect,
        choices=[
            ("CROSS_SELL", gettext_lazy("It stays: the offer goes along with it.")),
            ("UPSELL", gettext_lazy("It leaves the order: the offer takes its place, and only "
                                    "the difference is paid.")),
        ],
        initial="CROSS_SELL",
    )  # fmt: skip
    channels = forms.MultipleChoiceField(
        label=gettext_lazy("In which sales channels"), widget=forms.CheckboxSelectMultiple
    )
    headline = forms.CharField(
        label=gettext_lazy("What you would say, in one line"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("At most 80 characters. Empty: the product's name."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    def __init__(self, *args: Any, allowed: frozenset[str] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [(row.ref, row.label) for row in conf.shop().choices("channel", "", 200)]
        known = [row for row in known if allowed is None or row[0] in allowed]
        channels: Any = self.fields["channels"]
        channels.choices, channels.initial = known, [ref for ref, _label in known]
        if Capability.REPLACE not in conf.shop().capabilities:
            kinds: Any = self.fields["kind"]
            kinds.choices = kinds.choices[:1]

    def save(self, user: Any) -> Campaign | None:
        """Write the campaign, switched off; none where something about it is refused."""
        told = self.cleaned_data
        names = {
            "offered": label_of("product", told["offered"]),
            "bought": label_of("product", told["bought"]),
        }
        upsell = told["kind"] == Campaign.Kind.UPSELL
        name = (
            _("%(offered)s instead of %(bought)s") if upsell else _("%(offered)s with %(bought)s")
        )
        try:
            return campaigns.save_campaign(
                user=user,
                slug=_free_slug(name % names),
                name=(name % names)[:120],
                kind=told["kind"],
                product_ref=told["offered"],
                channels=told["channels"],
                triggers=[{"kind": "PRODUCT", "ref": told["bought"]}],
                not_bought_days=conf.get("UPSELL_NOT_BOUGHT_DAYS"),
                default_language=site_language(),
                copy={site_language(): {"headline": told["headline"]}} if told["headline"] else {},
            )
        except ValidationError as error:
            for field, texts in error.message_dict.items():
                place = None if field == NON_FIELD_ERRORS else _PLACES.get(field)
                for text in texts:
                    self.add_error(place, text)
        return None


def begin(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Ask for one product and one offer."""
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    form = FirstForm(request.POST or None, allowed=allowed_channels(request))
    if request.method == "POST" and form.is_valid():
        campaign = form.save(request.user)
        if campaign is not None:
            return redirect(f"{model_admin.admin_site.name}:upsell_campaign_steps", campaign.pk)
    return _page(model_admin, request, "first.html", _("Your first campaign"), form=form,
                 media=model_admin.media + form.media)  # fmt: skip


def steps(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Lead on: read it in words, see it, try it as staff only, go live."""
    if not model_admin.has_change_permission(request):
        raise PermissionDenied
    campaign: Campaign = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    if not model_admin.has_change_permission(request, campaign):
        raise PermissionDenied
    here = f"{model_admin.admin_site.name}:upsell_campaign_steps"
    if request.method == "POST":
        status = {"try": Campaign.Status.STAFF_ONLY, "live": Campaign.Status.LIVE,
                  "off": Campaign.Status.OFF}.get(request.POST.get("step", ""))  # fmt: skip
        if status is not None and status != campaign.status:
            _set_status(request, campaign, status)
        return redirect(here, campaign.pk)
    values, label = campaigns.dump(campaign), labels()
    errors, warnings = campaigns.validate(values, campaign_id=campaign.pk)
    return _page(
        model_admin,
        request,
        "steps.html",
        _("Your first campaign"),
        media=model_admin.media,
        original=campaign,
        says=sentence(values, label),
        unseen=unseen(values, label),
        bought=[
            label(row.kind.lower(), row.ref)
            for row in campaign.triggers.order_by("pk")
            if row.kind != "ALWAYS"
        ],
        findings=[finding.message for finding in (*errors, *warnings)],
        tried=campaign.offers.filter(trial=True).count(),
    )


def _set_status(request: HttpRequest, campaign: Campaign, status: Campaign.Status) -> None:
    try:
        campaigns.save_campaign(user=request.user, slug=campaign.slug, status=status.value)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return
    told = {
        Campaign.Status.STAFF_ONLY: _("Staff see it now, and nobody else."),
        Campaign.Status.LIVE: _("It is live: the next order that fits is offered it."),
        Campaign.Status.OFF: _("It is off: nobody is offered it."),
    }[status]
    messages.success(request, told)


def _free_slug(name: str) -> str:
    base = slugify(name)[:100] or "campaign"
    taken = set(Campaign.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    names = (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
    return next(slug for slug in names if slug not in taken)


def _page(
    model_admin: Any, request: HttpRequest, template: str, title: str, **context: Any
) -> HttpResponse:
    return TemplateResponse(
        request,
        f"admin/upsell/campaign/{template}",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "title": title,
            **context,
        },
    )
