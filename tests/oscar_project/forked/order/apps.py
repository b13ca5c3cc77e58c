import oscar.apps.order.apps as apps


class OrderConfig(apps.OrderConfig):
    name = "tests.oscar_project.forked.order"
