import django.db.models.deletion
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
        migrations.CreateModel(
            name="ListMember",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("slug", models.CharField(max_length=190, verbose_name="list")),
                ("customer_key", models.CharField(max_length=200)),
                ("user_ref", models.CharField(blank=True, max_length=190)),
                ("order_ref", models.CharField(blank=True, max_length=190, verbose_name="order")),
                ("cart_ref", models.CharField(blank=True, max_length=190)),
                (
                    "channel",
                    models.CharField(blank=True, max_length=190, verbose_name="sales channel"),
                ),
                ("joined_at", models.DateTimeField(verbose_name="since")),
                (
                    "journey",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="upsell.journey",
                        verbose_name="journey",
                    ),
                ),
            ],
            options={
                "verbose_name": "contact list",
                "verbose_name_plural": "contact lists",
                "permissions": [("export_listmember", "Can export contact lists")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["slug", "joined_at"], name="upsell_listmember_since")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("slug", "customer_key"), name="upsell_listmember_once"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="reachability",
            name="hard_hash",
            field=models.CharField(blank=True, max_length=64),
        ),
    ]
