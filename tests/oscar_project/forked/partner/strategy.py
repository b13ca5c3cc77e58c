"""VAT at 19 %, at 7 % for food, and known only at checkout for what is shipped from abroad."""

from decimal import Decimal

from oscar.apps.partner import strategy


class Vat(
    strategy.UseFirstStockRecord, strategy.StockRequired, strategy.FixedRateTax, strategy.Structured
):
    def get_rate(self, product, stockrecord):
        kind = product.get_product_class()
        return Decimal("0.07") if kind.slug == "food" else Decimal("0.19")

    def pricing_policy(self, product, stockrecord):
        if product.get_product_class().slug == "imported":
            return strategy.DeferredTax().pricing_policy(product, stockrecord)
        return super().pricing_policy(product, stockrecord)


class Selector:
    def strategy(self, request=None, user=None, **kwargs):
        return Vat(request)
