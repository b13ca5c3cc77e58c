import oscar.apps.partner.apps as apps


class PartnerConfig(apps.PartnerConfig):
    name = "tests.oscar_project.forked.partner"
