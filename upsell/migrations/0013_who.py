from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("upsell", "0012_desk"),
    ]

    operations = [
        migrations.AddField(
            model_name="offer",
            name="new_or_returning",
            field=models.CharField(blank=True, max_length=9, verbose_name="new or returning"),
        ),
        migrations.AddField(
            model_name="offer",
            name="customer_group",
            field=models.CharField(blank=True, max_length=190, verbose_name="customer group"),
        ),
        migrations.AddField(
            model_name="offer",
            name="country",
            field=models.CharField(blank=True, max_length=2, verbose_name="country"),
        ),
        migrations.AddField(
            model_name="offer",
            name="device",
            field=models.CharField(blank=True, max_length=8, verbose_name="device"),
        ),
        migrations.AddField(
            model_name="offer",
            name="language",
            field=models.CharField(blank=True, max_length=3, verbose_name="language"),
        ),
        migrations.AddField(
            model_name="offer",
            name="segment",
            field=models.CharField(
                blank=True,
                help_text="Empty: there are no segments yet.",
                max_length=80,
                verbose_name="segment",
            ),
        ),
    ]
