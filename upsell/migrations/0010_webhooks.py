from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("upsell", "0009_experiments"),
    ]

    operations = [
        migrations.AlterField(
            model_name="outboxmessage",
            name="kind",
            field=models.CharField(
                choices=[
                    ("CONFIRMATION", "confirmation to the buyer"),
                    ("REVERSAL", "undo confirmed to the buyer"),
                    ("WITHDRAWAL", "receipt of a withdrawal to the buyer"),
                    ("DOCUMENTS", "documents outdated"),
                    ("HOLD", "fulfilment hold"),
                    ("HOLD_RELEASE", "fulfilment hold released"),
                    ("WEBHOOK", "webhook"),
                ],
                max_length=20,
                verbose_name="kind",
            ),
        ),
    ]
