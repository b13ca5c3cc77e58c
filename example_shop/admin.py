"""The shop's own screens for its staff."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import admin, messages
from django.urls import reverse
from django.utils.html import format_html

from example_shop import models, orders
from example_shop.templatetags.shop import money

admin.site.site_header = "Example shop"


@admin.register(models.Channel)
class ChannelAdmin(admin.ModelAdmin):
    list_display = ["name", "code", "currency", "delivery_cost", "free_from"]


@admin.register(models.Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "parent"]
    list_select_related = ["parent"]
    search_fields = ["name", "slug"]
    autocomplete_fields = ["parent"]


@admin.register(models.Brand, models.Tag)
class NamedAdmin(admin.ModelAdmin):
    list_display = ["name", "slug"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}


class PriceChangeInline(admin.TabularInline):
    model = models.PriceChange
    extra = 0
    readonly_fields = ["price", "since"]
    verbose_name_plural = "price history"

    def has_add_permission(self, request, obj=None):
        return False


@admin.register(models.Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["title", "sku", "channel", "category", "shown_price", "stock", "sellable"]
    list_filter = ["channel", "category", "brand", "sellable"]
    list_select_related = ["channel", "category"]
    search_fields = ["title", "sku"]
    autocomplete_fields = ["category", "brand", "parent", "tags"]
    inlines = [PriceChangeInline]
    fieldsets = [
        (None, {"fields": ["title", "sku", "channel", "text", "facts", "icon"]}),
        ("Where it belongs", {"fields": ["category", "brand", "tags", "parent", "variant"]}),
        ("Price", {"fields": ["price", "sale_price", "bulk_percent", "cost", "tax_rate"]}),
        ("Stock", {"fields": ["stock", "sellable", "requires_shipping"]}),
        ("Kind", {"fields": ["family", "fits", "is_gift_card", "service_after_days"]}),
    ]

    @admin.display(description="price", ordering="price")
    def shown_price(self, product):
        return money(product.selling, product.channel.currency)

    def save_model(self, request, obj, form, change):
        """Keep every price: what is struck through later is measured by it."""
        super().save_model(request, obj, form, change)
        if not change or {"price", "sale_price"} & set(form.changed_data):
            models.PriceChange.objects.create(product=obj, price=obj.selling)


@admin.register(models.Coupon)
class CouponAdmin(admin.ModelAdmin):
    list_display = ["code", "percent", "least", "channel"]
    list_select_related = ["channel"]


@admin.register(models.GiftCard)
class GiftCardAdmin(admin.ModelAdmin):
    list_display = ["__str__", "balance", "currency", "bought_with"]
    list_select_related = ["bought_with"]
    raw_id_fields = ["bought_with"]
    search_fields = ["code"]


@admin.register(models.CustomerGroup)
class CustomerGroupAdmin(admin.ModelAdmin):
    list_display = ["name", "code"]
    search_fields = ["name", "code"]


@admin.register(models.Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["user", "country"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__email"]
    autocomplete_fields = ["user", "groups"]


class ReadOnlyInline(admin.TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class LineInline(ReadOnlyInline):
    model = models.OrderLine
    fields = ["title", "quantity", "before_gross", "discount_gross", "coupon_gross", "total_gross",
              "returned", "service_at", "change_id"]  # fmt: skip
    ordering = ["position", "pk"]


class DiscountInline(ReadOnlyInline):
    model = models.OrderDiscount
    fields = ["label", "gross"]


class PaymentInline(ReadOnlyInline):
    model = models.Payment
    fields = ["at", "kind", "gateway", "amount", "currency", "reference"]
    ordering = ["at", "pk"]


class ChangeInline(ReadOnlyInline):
    model = models.OrderChange
    fields = ["product", "quantity", "state"]
    verbose_name_plural = "changes by offers"


@admin.register(models.Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders are looked at, and moved on by actions; nobody types a total."""

    list_display = ["number", "channel", "placed_at", "email", "total", "status", "why"]
    list_filter = ["channel", "paid", "released", "cancelled", "payment_method"]
    list_select_related = ["channel"]
    date_hierarchy = "placed_at"
    search_fields = ["number", "email", "name"]
    ordering = ["-placed_at", "-pk"]
    inlines = [LineInline, DiscountInline, PaymentInline, ChangeInline]
    actions = ["mark_paid", "mark_packed", "mark_shipped", "cancel", "refund"]
    fieldsets = [
        (None, {"fields": ["number", "channel", "placed_at", "status", "why", "at_the_buyer"]}),
        ("Buyer", {"fields": ["user", "email", "name", "street", "country"]}),
        (
            "Money",
            {"fields": ["payment_method", "card", "coupon", "delivery", "tax", "total", "paid"]},
        ),
        ("Fulfilment", {"fields": ["hold_until", "released", "shipped", "cancelled", "refunded"]}),
    ]

    def get_queryset(self, request):
        """Staff who are limited to sales channels see the orders of those."""
        rows = super().get_queryset(request)
        channels = list(request.user.upsell_channels.values_list("channel", flat=True))
        return rows.filter(channel__code__in=channels) if channels else rows

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def get_readonly_fields(self, request, obj=None):
        return [name for _, options in self.fieldsets for name in options["fields"]]

    @admin.display(ordering="total_gross")
    def total(self, order):
        return money(order.total_gross, order.currency)

    @admin.display
    def delivery(self, order):
        return money(order.shipping_gross, order.currency)

    @admin.display(description="tax in it")
    def tax(self, order):
        return money(order.total_tax, order.currency)

    @admin.display
    def status(self, order):
        return order.status

    @admin.display(description="offer")
    def why(self, order):
        address = reverse("admin:upsell_campaign_why")
        query = urlencode({"order": order.pk})
        return format_html('<a href="{}?{}">Why this offer?</a>', address, query)

    @admin.display(description="in the shop")
    def at_the_buyer(self, order):
        address = reverse("shop:order", args=[order.pk])
        return format_html('<a href="{}">The buyer\'s page</a>', address)

    @admin.action(description="Mark as paid", permissions=["change"])
    def mark_paid(self, request, queryset):
        self._each(request, queryset, orders.pay_invoice, "marked as paid")

    @admin.action(description="Mark as packed", permissions=["change"])
    def mark_packed(self, request, queryset):
        self._each(request, queryset, orders.pack, "marked as packed")

    @admin.action(description="Mark as shipped", permissions=["change"])
    def mark_shipped(self, request, queryset):
        self._each(request, queryset, orders.ship, "marked as shipped")

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request, queryset):
        self._each(request, queryset, orders.cancel, "cancelled")

    @admin.action(description="Refund everything", permissions=["change"])
    def refund(self, request, queryset):
        self._each(request, queryset, orders.refund, "refunded")

    def _each(self, request, queryset, move, done):
        """Move each order by itself: one that cannot be moved does not stop the others."""
        moved = 0
        for order_id in queryset.order_by("pk").values_list("pk", flat=True):
            try:
                move(order_id)
                moved += 1
            except orders.NotNow as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
        if moved:
            self.message_user(request, f"{moved} {done}.", messages.SUCCESS)
