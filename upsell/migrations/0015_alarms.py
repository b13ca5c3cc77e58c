import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("upsell", "0014_profit"),
    ]

    operations = [
        migrations.CreateModel(
            name="Alarm",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=240, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("refunds", "more comes back than usual"),
                            ("acceptance", "hardly anybody accepts"),
                            ("never_shown", "live and never shown"),
                            ("discount", "mostly sold with a discount"),
                            (
                                "checkout",
                                "offers earn more, and fewer checkouts are completed",
                            ),
                        ],
                        max_length=16,
                        verbose_name="guardrail",
                    ),
                ),
                (
                    "channel",
                    models.CharField(blank=True, max_length=190, verbose_name="sales channel"),
                ),
                ("hits", models.PositiveIntegerField()),
                ("n", models.PositiveIntegerField()),
                ("base_hits", models.PositiveIntegerField(blank=True, null=True)),
                ("base_n", models.PositiveIntegerField(blank=True, null=True)),
                ("tripped_at", models.DateTimeField(verbose_name="since")),
                ("looked_at", models.DateTimeField(verbose_name="last looked at")),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="upsell.campaign",
                        verbose_name="campaign",
                    ),
                ),
            ],
            options={
                "verbose_name": "alarm",
                "verbose_name_plural": "alarms",
                "default_permissions": (),
            },
        ),
    ]
