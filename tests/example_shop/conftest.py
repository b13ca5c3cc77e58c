"""The seeded shop."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from example_shop.models import Product


@pytest.fixture
def shop(db) -> dict[str, Product]:
    """Every product by SKU; no past orders."""
    call_command("seed_shop", "--orders", "0", verbosity=0)
    return {product.sku: product for product in Product.objects.all()}
