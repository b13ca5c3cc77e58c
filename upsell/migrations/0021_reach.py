from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("upsell", "0019_offer_links"),
    ]

    operations = [
        migrations.AddField(
            model_name="channelsettings",
            name="postal_address",
            field=models.CharField(blank=True, max_length=300, verbose_name="postal address"),
        ),
    ]
