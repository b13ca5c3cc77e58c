"""A shop that keeps more with each line than Oscar does."""

from django.db import models
from oscar.apps.order.abstract_models import AbstractLine


class Line(AbstractLine):
    gift_wrap = models.CharField(max_length=40, blank=True, default="")
    cost_centre = models.CharField(max_length=40)


class LineLabel(models.Model):  # noqa: DJ008
    """Something of the shop's own that hangs on a line."""

    line = models.ForeignKey("order.Line", models.CASCADE, related_name="labels")
    text = models.CharField(max_length=40)

    class Meta:
        app_label = "order"


from oscar.apps.order.models import *  # noqa: E402, F403
