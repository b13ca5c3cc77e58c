"""A small shop whose every key is a UUID, its people's as well."""

from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils import timezone


class People(BaseUserManager):
    def create_user(self, email, password=None, **options):
        person = self.model(email=self.normalize_email(email), **options)
        person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    """Signs in by e-mail; there is no user name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)

    USERNAME_FIELD = "email"
    objects = People()


class Item(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=80)
    price = models.DecimalField(max_digits=12, decimal_places=2)


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    person = models.ForeignKey(Person, models.PROTECT, null=True)
    email = models.EmailField(blank=True)
    locale = models.CharField(max_length=10, default="fr-CA")
    card = models.CharField(max_length=40, default="card_ok")
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    placed_at = models.DateTimeField(default=timezone.now)
    cancelled = models.BooleanField(default=False)


class OrderLine(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    item = models.ForeignKey(Item, models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    change_id = models.CharField(max_length=40, blank=True)


class Visit(models.Model):
    """What the shop itself writes while it shows a page, in the request's transaction."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    order = models.ForeignKey(Order, models.CASCADE)
    when = models.CharField(max_length=10)
