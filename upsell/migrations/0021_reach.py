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
        migrations.AddField(
            model_name="channelsettings",
            name="quiet_email_from",
            field=models.TimeField(blank=True, null=True, verbose_name="no e-mails from"),
        ),
        migrations.AddField(
            model_name="channelsettings",
            name="quiet_email_until",
            field=models.TimeField(blank=True, null=True, verbose_name="no e-mails until"),
        ),
        migrations.AddField(
            model_name="channelsettings",
            name="quiet_sms_from",
            field=models.TimeField(blank=True, null=True, verbose_name="no SMS from"),
        ),
        migrations.AddField(
            model_name="channelsettings",
            name="quiet_sms_until",
            field=models.TimeField(blank=True, null=True, verbose_name="no SMS until"),
        ),
        migrations.AddConstraint(
            model_name="channelsettings",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("quiet_email_from", None), ("quiet_email_until", None)),
                    models.Q(
                        ("quiet_email_from__isnull", False), ("quiet_email_until__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="upsell_channel_quiet_email",
            ),
        ),
        migrations.AddConstraint(
            model_name="channelsettings",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("quiet_sms_from", None), ("quiet_sms_until", None)),
                    models.Q(("quiet_sms_from__isnull", False), ("quiet_sms_until__isnull", False)),
                    _connector="OR",
                ),
                name="upsell_channel_quiet_sms",
            ),
        ),
    ]
