"""What Salesman's API shows of each type of product."""

from __future__ import annotations

from rest_framework import serializers

from tests.salesman_project.teashop.models import Course, Tea


class TeaSerializer(serializers.ModelSerializer):
    class Meta:
        model = Tea
        fields = ["name", "code"]


class CourseSerializer(serializers.ModelSerializer):
    class Meta:
        model = Course
        fields = ["name", "code"]
