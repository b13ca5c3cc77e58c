from decimal import Decimal

from django.db import migrations, models


def sum_up_anew(apps, schema_editor):
    """Have the sums of past days made again: they have no count of what had a discount."""
    rows = apps.get_model("upsell", "Progress").objects.using(schema_editor.connection.alias)
    rows.filter(name="rollup").update(cursor="", reached="", reached_at=None, at=None)


class Migration(migrations.Migration):
    dependencies = [
        ("upsell", "0013_who"),
    ]

    operations = [
        migrations.RunPython(sum_up_anew, migrations.RunPython.noop),
        migrations.AddField(
            model_name="acceptance",
            name="cost_net",
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=19, null=True),
        ),
        migrations.AddField(
            model_name="acceptance",
            name="replaced_cost_net",
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=19, null=True),
        ),
        migrations.AddField(
            model_name="dailymetric",
            name="cost_net",
            field=models.DecimalField(decimal_places=4, default=Decimal("0"), max_digits=25),
        ),
        migrations.AddField(
            model_name="dailymetric",
            name="costed",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="dailymetric",
            name="costed_discount_net",
            field=models.DecimalField(decimal_places=4, default=Decimal("0"), max_digits=25),
        ),
        migrations.AddField(
            model_name="dailymetric",
            name="costed_net",
            field=models.DecimalField(decimal_places=4, default=Decimal("0"), max_digits=25),
        ),
        migrations.AddField(
            model_name="dailymetric",
            name="discounted",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
