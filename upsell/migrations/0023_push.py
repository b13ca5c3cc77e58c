from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("upsell", "0022_shop_numbers")]

    operations = [
        migrations.RemoveConstraint(
            model_name="messagetemplate", name="upsell_template_medium_known"
        ),
        migrations.AlterField(
            model_name="messagetemplate",
            name="medium",
            field=models.CharField(
                choices=[
                    ("email", "e-mail"),
                    ("sms", "SMS"),
                    ("onsite", "on the shop's pages"),
                    ("push", "push"),
                ],
                default="email",
                max_length=16,
                verbose_name="medium",
            ),
        ),
        migrations.AddConstraint(
            model_name="messagetemplate",
            constraint=models.CheckConstraint(
                condition=models.Q(("medium__in", ["email", "sms", "onsite", "push"])),
                name="upsell_template_medium_known",
            ),
        ),
    ]
