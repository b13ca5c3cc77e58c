"""What a buyer fills in."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from example_shop.models import Coupon
from upsell.testing.gateway import CARDS

COUNTRIES = [("DE", "Germany"), ("AT", "Austria"), ("CH", "Switzerland"), ("JP", "Japan")]


class CheckoutForm(forms.Form):
    email = forms.EmailField(label="E-mail", help_text="Your confirmation goes here.")
    name = forms.CharField(label="Full name", max_length=120)
    street = forms.CharField(label="Street, number and town", max_length=200)
    country = forms.ChoiceField(label="Country", choices=COUNTRIES)
    payment_method = forms.ChoiceField(
        label="Payment",
        choices=[("card", "Card, saved with this order"), ("invoice", "Invoice, pay in 14 days")],
        widget=forms.RadioSelect,
        initial="card",
    )
    card = forms.ChoiceField(
        label="Test card",
        choices=[(card, f"{card} – what is offered later {does}") for card, does in CARDS.items()],
        required=False,
        help_text="Decides what happens when you accept an offer. No real money moves.",
    )
    coupon = forms.CharField(
        label="Coupon", max_length=20, required=False, help_text="Try WELCOME10."
    )

    def clean_coupon(self):
        code = self.cleaned_data["coupon"].strip()
        if not code:
            return None
        coupon = Coupon.objects.filter(code__iexact=code).first()
        if coupon is None:
            raise ValidationError("We do not know this coupon. Check the spelling or leave it out.")
        return coupon

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("payment_method") == "card" and not cleaned.get("card"):
            self.add_error("card", "Choose a test card.")
        return cleaned
