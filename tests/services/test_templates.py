"""Messages are checked, published as versions that never change, and tried on oneself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core import mail
from django.core.exceptions import ValidationError

from upsell.models import MessageTemplate, TemplateVersion
from upsell.presenting.messages import render
from upsell.services import templates

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TEXT = {"kind": "text", "text": "Hello {subject.first_name|there}"}


def draft(*blocks, **options):
    content = {"en": {"subject": "Hello", "blocks": list(blocks) or [TEXT]}}
    options = {"slug": "hello", "name": "Hello", "content": content} | options
    return MessageTemplate.objects.create(**options)


def publish(template):
    return templates.publish(template, user=None, now=NOON)


@pytest.mark.parametrize(("fact", "is_known"), [("order.net", True), ("order.moon", False)])
def test_a_condition_names_a_fact_that_there_is(fact, is_known):
    tree = {"fact": fact, "op": "exists"}

    _made, faults = templates.checked(
        {"en": {"subject": "Hi", "blocks": [TEXT | {"show_if": tree}]}},
        medium="email",
        default_language="en",
    )

    assert [fault.path for fault in faults] == ([] if is_known else ["en.blocks.0.show_if"])


def test_publishing_twice_is_one_version_and_a_change_is_the_next():
    template = draft()

    first, again = publish(template), publish(template)
    template.content["en"]["subject"] = "Hello again"
    template.save()
    second = publish(template)

    assert (first, first.number) == (again, 1)
    assert second.number == 2
    assert MessageTemplate.objects.get().version == second
    assert TemplateVersion.objects.get(number=1).content["en"]["subject"] == "Hello"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"content": {}}, "one language or more", id="nothing"),
        pytest.param({"default_language": "de"}, "de: is the default", id="no default language"),
        pytest.param({"medium": "sms", "content": {"en": {"blocks": [
            {"kind": "heading", "text": "A"}]}}}, "en.blocks.0.kind", id="a heading by SMS"),
    ],
)  # fmt: skip
def test_a_draft_with_faults_is_not_published(options, said):
    with pytest.raises(ValidationError) as error:
        publish(draft(**options))

    assert said in " ".join(error.value.messages)
    assert not TemplateVersion.objects.exists()


def test_every_fault_is_one_message_that_begins_with_its_place():
    with pytest.raises(ValidationError) as error:
        publish(draft({"kind": "text", "text": "{x}"}, {"kind": "button", "label": "Go"}))

    assert [text.partition(":")[0] for text in error.value.messages] == [
        "en.blocks.0.text",
        "en.blocks.1.link",
    ]


def test_what_can_never_be_known_in_a_journey_is_told_before_it_is_published():
    version = publish(draft({"kind": "text", "text": "{purchased.1.name} {order.number|it}"}))

    found = templates.unresolved(version, event="trial.started", offer=False)

    assert found == {"purchased.1.name"}
    assert templates.unresolved(version, event="order.placed", offer=False) == frozenset()


@pytest.mark.parametrize(
    ("medium", "never"),
    [
        pytest.param("email", set(), id="mails have a page"),
        pytest.param("sms", {"links.view_online"}, id="text messages have none"),
    ],
)
def test_there_is_a_page_of_mails_alone(medium, never):
    row = draft({"kind": "text", "text": "{links.view_online} {links.rating}"})
    row.medium = medium
    row.save()

    assert templates.unresolved(publish(row), event="order.placed", offer=False) == never


def test_a_test_goes_to_one_address_in_both_parts():
    made = render(publish(draft()), {}, locale="en", links={})

    templates.send_test(made, to="me@example.org", channel="")

    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["me@example.org"], "Hello")
    assert sent.body == "Hello there\n"
    assert sent.alternatives[0].mimetype == "text/html"
