import django.core.serializers.json
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("upsell", "0007_measure"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BacktestRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("WAITING", "waiting"),
                            ("RUNNING", "running"),
                            ("DONE", "done"),
                            ("CANCELLED", "cancelled"),
                            ("FAILED", "failed"),
                        ],
                        default="WAITING",
                        max_length=16,
                        verbose_name="state",
                    ),
                ),
                (
                    "live",
                    models.PositiveSmallIntegerField(
                        blank=True, editable=False, null=True, unique=True
                    ),
                ),
                ("days", models.PositiveSmallIntegerField(verbose_name="days")),
                ("since", models.DateTimeField(verbose_name="orders since")),
                ("until", models.DateTimeField(verbose_name="orders until")),
                (
                    "draft_name",
                    models.CharField(blank=True, max_length=200, verbose_name="with the campaign"),
                ),
                (
                    "channels",
                    models.JSONField(blank=True, default=list, verbose_name="sales channels"),
                ),
                (
                    "version",
                    models.BigIntegerField(default=0, verbose_name="version of the campaigns"),
                ),
                ("created_at", models.DateTimeField(verbose_name="asked for")),
                ("began_at", models.DateTimeField(blank=True, null=True, verbose_name="begun")),
                ("beat_at", models.DateTimeField(blank=True, null=True, verbose_name="last sign")),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                ("cancel_asked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "looked_at",
                    models.PositiveIntegerField(default=0, verbose_name="orders looked at"),
                ),
                (
                    "total",
                    models.PositiveIntegerField(
                        blank=True, null=True, verbose_name="orders in all"
                    ),
                ),
                ("failure", models.CharField(blank=True, max_length=32, verbose_name="failure")),
                (
                    "results",
                    models.JSONField(
                        default=dict,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="results",
                    ),
                ),
                (
                    "draft",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="upsell.campaign",
                    ),
                ),
                (
                    "started_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "backtest",
                "verbose_name_plural": "backtests",
                "default_permissions": (),
                "indexes": [models.Index(fields=["created_at"], name="upsell_backtest_created")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["WAITING", "RUNNING", "DONE", "CANCELLED", "FAILED"])
                        ),
                        name="upsell_backtest_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("live", 1), ("state__in", ["WAITING", "RUNNING"])),
                            models.Q(
                                ("live__isnull", True),
                                ("state__in", ["DONE", "CANCELLED", "FAILED"]),
                            ),
                            _connector="OR",
                        ),
                        name="upsell_backtest_lives_while_it_runs",
                    ),
                ],
            },
        ),
    ]
