"""What the database itself refuses, and what a column of money is."""

from __future__ import annotations

import uuid

import pytest
from django.apps import apps
from django.db import IntegrityError, models, transaction

from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell.models import Acceptance, Attempt, Decision, Offer, OfferQuote, OutboxMessage, Refund
from upsell.models.tokens import undo_token
from upsell.services import undoing

ONCE: dict[str, tuple[type[models.Model], str]] = {
    "I1: of one order, offers": (Offer, "order_ref"),
    "I1: of one order, decisions": (Decision, "order_ref"),
    "I2: of one offer, acceptances": (Acceptance, "offer_id"),
    "I14: of one key, attempts": (Attempt, "key"),
    "I14: of one key, refunds": (Refund, "key"),
    "I15: of one object of the provider, attempts": (Attempt, "reference"),
    "of one offer, living attempts": (Attempt, "live_offer_id"),
    "of one offer, quotes of one number": (OfferQuote, "number"),
    "of one kind and offer, messages": (OutboxMessage, "key"),
}


@pytest.mark.databases
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ONCE)
def test_there_are_never_two(what):
    model, column = ONCE[what]
    products = catalogue()
    campaign(products["CA"])
    offer = accept(offered(order(products)))
    undoing.undo(token=undo_token(offer), trusted=False)
    Attempt.objects.update(live_offer_id=offer.pk)
    row = model.objects.order_by("pk")[0]

    with pytest.raises(IntegrityError), transaction.atomic():
        twin(row, but=column).save(force_insert=True)

    twin(row).save(force_insert=True)  # that one column was all there was against it
    assert model.objects.count() > 1


def twin(row: models.Model, but: str = "") -> models.Model:
    """Return a copy that shares nothing which is unique with its original, but one column."""
    fields = row._meta.concrete_fields
    copy = type(row)(**{field.attname: getattr(row, field.attname) for field in fields})
    copy.pk = None
    if hasattr(row, "number") and but != "number":
        copy.number = row.number + 1
    for field in fields:
        if field.unique and not field.primary_key and field.attname != but:
            setattr(copy, field.attname, fresh(field))
    return copy


def fresh(field: models.Field) -> object:
    """Return a value that no row has."""
    if isinstance(field, models.OneToOneField):
        return None if field.null else saved(twin(Offer.objects.order_by("pk")[0])).pk
    return uuid.uuid4() if isinstance(field, models.UUIDField) else f"{uuid.uuid4()}"


def saved(row: models.Model) -> models.Model:
    row.save(force_insert=True)
    return row


MODELS = [
    model
    for label in ("upsell", "example_shop")
    for model in apps.get_app_config(label).get_models()
]
SHARES = {"percent": (5, 2), "tax_rate": (5, 4)}
"""Columns that are no money, and their digits."""
ESTIMATES = {"Look", "Belief"}
"""Statistics that nobody pays: means with their spread, and what is believed of a rate."""
MONEY = {"DailyMetric": (25, 4)}
"""Where it is not one amount but the sum of a day's."""


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_i29_money_has_nineteen_digits_four_of_them_decimals_and_is_never_a_float_in(model):
    fields = model._meta.concrete_fields
    numbers = [field for field in fields if isinstance(field, models.DecimalField)]

    floats = [field.name for field in fields if isinstance(field, models.FloatField)]
    assert bool(floats) == (model.__name__ in ESTIMATES), floats
    for field in numbers:
        digits = SHARES.get(field.name, MONEY.get(model.__name__, (19, 4)))
        assert (field.max_digits, field.decimal_places) == digits, field.name
