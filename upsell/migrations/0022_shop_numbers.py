from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("upsell", "0021_entering"),
    ]

    operations = [
        migrations.CreateModel(
            name="ShopNumber",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("MEDIAN_ORDER", "median order, net"),
                            ("MEDIAN_GAP", "median gap between a buyer's orders, in seconds"),
                        ],
                        max_length=16,
                        verbose_name="number",
                    ),
                ),
                (
                    "channel",
                    models.CharField(blank=True, max_length=190, verbose_name="sales channel"),
                ),
                ("currency", models.CharField(blank=True, max_length=3, verbose_name="currency")),
                (
                    "value",
                    models.DecimalField(decimal_places=4, max_digits=19, verbose_name="value"),
                ),
                ("among", models.PositiveIntegerField(verbose_name="among")),
                ("at", models.DateTimeField(verbose_name="made")),
            ],
            options={
                "verbose_name": "number of the shop",
                "verbose_name_plural": "numbers of the shop",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("name", "channel", "currency"), name="upsell_shopnumber_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("value__gt", 0)), name="upsell_shopnumber_some"
                    ),
                ],
            },
        ),
    ]
