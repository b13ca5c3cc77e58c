"""What a buyer fills in."""

from __future__ import annotations

from django import forms
from django.conf import settings
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
PAYMENT_METHODS = [
    ("card", "Card"),
    ("invoice", "Invoice"),
    ("gift_card", "Gift card only"),
    ("payfriend", "Payfriend"),
    ("stripe", "Card (Stripe)"),
]
AT_CHECKOUT = {
    "card": "Card, saved with this order",
    "invoice": "Invoice, pay in 14 days",
    "payfriend": "Payfriend, you approve on its page",
    "stripe": "Card (Stripe), in its test mode",
}


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
        widget=forms.RadioSelect,
        initial="card",
    )
    card = forms.ChoiceField(
        label="Test card",
        choices=[(card, card) for card in CARDS],
        required=False,
        help_text="For the first way to pay: decides what happens when you accept an offer. "
        "No real money moves.",
    )
    wants_mail = forms.BooleanField(
        label="Write to me about this order",
        required=False,
        help_text="By e-mail: what goes well with it, and a reminder. You can leave in each mail.",
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
        ways = [(code, AT_CHECKOUT[code]) for code in settings.UPSELL_GATEWAYS]
        self.fields["payment_method"].choices = ways

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


STRIPE_CARDS = {
    "pm_card_visa": "Visa: is charged",
    "pm_card_authenticationRequired": "Visa whose bank asks each time",
    "pm_card_chargeCustomerFail": "Visa without money: is refused",
}
"""Payment methods that Stripe keeps ready for tests, by its own names."""


class TestCardForm(forms.Form):
    """Stands where a live shop has Stripe's own card fields."""

    card = forms.ChoiceField(
        label="Test card",
        choices=list(STRIPE_CARDS.items()),
        widget=forms.RadioSelect,
        initial="pm_card_visa",
        error_messages={"required": "Choose a test card."},
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
