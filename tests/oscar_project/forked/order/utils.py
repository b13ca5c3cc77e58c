"""A shop with its own way of making orders."""

from oscar.apps.order import utils
from oscar.core.loading import get_model

LineLabel = get_model("order", "LineLabel")


class OrderCreator(utils.OrderCreator):
    def create_line_models(self, order, basket_line, extra_line_fields=None):
        fields = {"cost_centre": f"web-{basket_line.product.pk}", **(extra_line_fields or {})}
        return super().create_line_models(order, basket_line, fields)

    def create_additional_line_models(self, order, order_line, basket_line):
        LineLabel.objects.create(line=order_line, text=f"label of {order_line.title}"[:40])
