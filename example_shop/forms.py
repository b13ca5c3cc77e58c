"""What a buyer fills in."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from example_shop.models import Coupon, GiftCard
from upsell.testing.gateway import CARDS

COUNTRIES = [
    ("DE", "Germany"),
    ("AT", "Austria"),
    ("CH", "Switzerland"),
    ("FR", "France"),
    ("JP", "Japan"),
]
PAYMENT_METHODS = [("card", "Card"), ("invoice", "Invoice"), ("gift_card", "Gift card only")]


class CheckoutForm(forms.Form):
    email = forms.EmailField(
        label="E-mail",
        help_text="Your confirmation goes here.",
        error_messages={
            "required": "We need your e-mail address, for the confirmation.",
            "invalid": "This does not look like an e-mail address: name@example.org.",
        },
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    name = forms.CharField(
        label="Full name",
        max_length=120,
        error_messages={"required": "Who shall we write to? Please give your name."},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    street = forms.CharField(
        label="Address",
        max_length=200,
        help_text="Street and number, postcode and town.",
        error_messages={"required": "Please give street and number, postcode and town."},
        widget=forms.TextInput(attrs={"autocomplete": "street-address"}),
    )
    country = forms.ChoiceField(
        label="Country",
        choices=COUNTRIES,
        widget=forms.Select(attrs={"autocomplete": "country"}),
    )
    payment_method = forms.ChoiceField(
        label="How you pay",
        choices=[("card", "Card, saved with this order"), ("invoice", "Invoice, pay in 14 days")],
        widget=forms.RadioSelect,
        initial="card",
    )
    card = forms.ChoiceField(
        label="Test card",
        choices=[(card, card) for card in CARDS],
        required=False,
        help_text="Decides what happens when you accept an offer. No real money moves.",
    )
    coupon = forms.CharField(
        label="Coupon", max_length=20, required=False, help_text="Try WELCOME10 or SPRING15."
    )
    gift_card = forms.CharField(
        label="Gift card code", max_length=20, required=False, help_text="Try GIFT-2500-DEMO."
    )

    def __init__(self, *args, basket, **kwargs):
        self.basket = basket
        super().__init__(*args, label_suffix="", **kwargs)

    def clean_coupon(self):
        code = self.cleaned_data["coupon"].strip()
        if not code:
            return None
        coupon = Coupon.objects.filter(code__iexact=code).select_related("channel").first()
        if coupon is None:
            raise ValidationError("We do not know this coupon. Check the spelling or leave it out.")
        if coupon.channel and coupon.channel != self.basket.channel:
            raise ValidationError(f"This coupon is for {coupon.channel.name} only.")
        if self.basket.goods < coupon.least:
            raise ValidationError(
                f"This coupon counts from {coupon.least:.0f} {self.basket.currency} on."
            )
        return coupon

    def clean_gift_card(self):
        code = self.cleaned_data["gift_card"].strip()
        if not code:
            return None
        card = GiftCard.objects.filter(code__iexact=code).first()
        if card is None:
            raise ValidationError("We do not know this gift card. Check the code on it.")
        if card.currency != self.basket.currency:
            raise ValidationError(f"This gift card holds {card.currency} and cannot pay here.")
        if not card.balance:
            raise ValidationError("There is nothing left on this gift card.")
        return card

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("payment_method") == "card" and not cleaned.get("card"):
            self.add_error("card", "Choose a test card.")
        return cleaned

    def only(self, *names):
        """Keep the errors of these fields: the buyer has not finished the others."""
        for name in set(self.errors) - set(names):
            del self.errors[name]
