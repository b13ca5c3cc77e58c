"""The reference pages say what the code does, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.dispatch import Signal

from tests.docs.pages import DOCS, ROOT, cells, first_cells
from upsell import conf, hooks, ports, signals, urls, views
from upsell.engine import states
from upsell.engine.blocks import BlockKind
from upsell.engine.campaigns import Reason
from upsell.engine.facts import OURS
from upsell.engine.metrics import COLUMNS, FIGURES
from upsell.engine.variables import ITEM, LINKS, PATTERNS, SINGLE, SUGGESTION
from upsell.presenting import metrics
from upsell.presenting.reasons import in_words

REFERENCE = DOCS / "reference"


def headed(page: Path, heading: str) -> str:
    """Return one section of a page, without the sections beside it."""
    text = page.read_text().split(f"## {heading}\n", 1)[1]
    return re.split(r"^#{2,3} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def written(default: object) -> str:
    """Return a default as a person would type it."""
    if hasattr(default, "total_seconds"):
        names = ("days", "hours", "minutes", "seconds", "milliseconds")
        for name, size in zip(names, (86_400_000, 3_600_000, 60_000, 1_000, 1), strict=True):
            count, rest = divmod(round(default.total_seconds() * 1000), size)
            if count and not rest:
                return f"timedelta({name}={count})"
    if isinstance(default, tuple):
        return f"({', '.join(map(written, default))})"
    if isinstance(default, dict):
        rows = (f"{written(name)}: {written(value)}" for name, value in default.items())
        return f"{{{', '.join(rows)}}}"
    return f'"{default}"' if isinstance(default, str) else str(default)


def test_every_setting_is_explained():
    assert set(first_cells(REFERENCE / "settings.md")) == set(conf.DEFAULTS)


@pytest.mark.parametrize("name", sorted(conf.DEFAULTS))
def test_a_setting_has_the_default_that_the_page_says(name):
    _type, default, meaning, readers = cells(REFERENCE / "settings.md")[name]

    assert default == f"`{written(conf.DEFAULTS[name])}`"
    assert meaning
    assert readers


def test_reasons_are_the_engines_in_its_order_and_the_admins_words():
    told = cells(REFERENCE / "reasons.md")

    assert list(told) == [reason.value for reason in Reason]
    assert {code: words for code, (words,) in told.items()} == {
        reason.value: in_words(reason.value) for reason in Reason
    }


def test_metrics_are_the_engines_in_the_dashboards_words():
    told = cells(REFERENCE / "metrics.md")

    assert set(metrics.WORDS) == {*COLUMNS, *FIGURES}
    assert told == {name: [row.title, row.definition] for name, row in metrics.WORDS.items()}


def test_the_state_table_is_the_engines():
    section = headed(REFERENCE / "models-and-states.md", "States of an offer")
    rows = re.findall(r"^\| `([A-Z_]+)` \| .+ \| (.+) \|$", section, re.MULTILINE)

    assert {state: set(re.findall(r"[A-Z_]{4,}", following)) for state, following in rows} == {
        state.value: {following.value for following in states.TRANSITIONS[state]}
        for state in states.OfferState
    }


@pytest.mark.parametrize(
    ("heading", "enum"),
    [
        ("States of an attempt", states.AttemptState),
        ("States of a refund", states.RefundState),
    ],
)
def test_the_other_states_are_the_engines(heading, enum):
    section = headed(REFERENCE / "models-and-states.md", heading)

    assert re.findall(r"^\| `([A-Z_]+)`", section, re.MULTILINE) == [row.value for row in enum]


def test_every_signal_is_explained():
    told = first_cells(REFERENCE / "signals.md")
    ours = {name for name, value in vars(signals).items() if isinstance(value, Signal)}

    assert ours == {name for name in told if "(" not in name}


def test_signals_carry_the_arguments_that_the_code_says():
    source = (ROOT / "upsell" / "signals.py").read_text()
    written_down = dict(re.findall(r'^(\w+) = Signal\(\)\n"""([\w, ]+)', source, re.MULTILINE))
    told = cells(REFERENCE / "signals.md")

    assert {name: told[name][0].replace("`", "") for name in written_down} == written_down


def test_every_hook_that_is_explained_exists():
    told = [name.split("(")[0] for name in first_cells(REFERENCE / "signals.md") if "(" in name]

    assert told
    assert [name for name in told if not callable(getattr(hooks, name, None))] == []


def test_every_check_is_explained():
    source = (ROOT / "upsell" / "checks.py").read_text()

    assert set(first_cells(REFERENCE / "checks.md")) == set(
        re.findall(r"upsell\.[EW]\d{3}", source)
    )


def test_every_command_is_explained_with_its_options():
    ours = {name for name, app in get_commands().items() if app == "upsell"}
    told = cells(REFERENCE / "commands.md")

    assert set(told) == ours
    for name, (_does, options) in told.items():
        parser = load_command_class("upsell", name).create_parser("manage.py", name)
        general = {"--help", "--version", "--verbosity", "--settings", "--pythonpath",
                   "--traceback", "--no-color", "--force-color", "--skip-checks"}  # fmt: skip
        there = {
            option
            for action in parser._actions
            for option in action.option_strings
            if option.startswith("--")
        }
        assert set(re.findall(r"--[a-z-]+", options)) == there - general


def test_every_address_is_explained():
    told = cells(REFERENCE / "urls.md")
    shown = {
        name.removeprefix("upsell:"): re.sub(r"<\w+:", "<", row[0].strip("`"))
        for name, row in told.items()
        if name.startswith("upsell:")
    }

    assert shown == {
        pattern.name: re.sub(r"<\w+:", "<", str(pattern.pattern)) for pattern in urls.urlpatterns
    }


def test_every_code_has_the_status_that_the_page_says():
    told = {
        name: int(row[0]) for name, row in cells(REFERENCE / "urls.md").items() if row[0].isdigit()
    }

    assert told == {**views.STATUS_OF, "bad_input": 400, "form_refused": 403}


@pytest.mark.parametrize("port", [ports.Shop, ports.Gateway])
def test_every_method_of_a_port_is_explained(port):
    told = {name.split("(")[0] for name in first_cells(REFERENCE / "ports.md")}
    methods = {
        name for name, value in vars(port).items() if callable(value) and not name.startswith("_")
    }

    assert methods <= told


@pytest.mark.parametrize("enum", [ports.Capability, ports.ChargeState, ports.CollectionWay])
def test_every_name_of_a_ports_enum_is_explained(enum):
    assert {row.value for row in enum} <= set(first_cells(REFERENCE / "ports.md"))


def test_what_the_page_on_ports_names_can_be_imported():
    told = first_cells(REFERENCE / "ports.md")
    arithmetic = told[told.index("order_version(currency, lines)") :]

    assert [name for name in arithmetic if not hasattr(ports, name.split("(")[0])] == []


def test_the_blocks_of_the_templates_are_the_ones_on_the_page():
    for name, (told,) in cells(REFERENCE / "template-tags.md").items():
        path = ROOT / "upsell" / "templates" / name
        if path.exists():
            there = set(re.findall(r"{% block (\w+) %}", path.read_text()))
            assert set(re.findall(r"`(\w+)`", told)) == there, name


def test_every_model_has_its_row():
    ours = {model.__name__ for model in apps.get_app_config("upsell").get_models()}
    told = set(re.findall(r"`([A-Z]\w+)`", before_the_states()))

    assert ours == told


def before_the_states() -> str:
    """Return the page on models up to its first heading."""
    return (REFERENCE / "models-and-states.md").read_text().split("\n## ", 1)[0]


def test_facts_are_those_of_the_code_with_what_they_are_asked_by():
    told = cells(REFERENCE / "facts.md")

    assert {name: told.get(name) for name in OURS} == {
        name: [
            spec.type.value,
            ", ".join(f"**`{arg}`**" if arg in spec.needs else f"`{arg}`" for arg in spec.args),
            spec.label,
        ]
        for name, spec in OURS.items()
    }


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Names", SINGLE),
        ("Items", ITEM),
        ("Suggestions", SUGGESTION),
        ("With a part of your own", PATTERNS),
    ],
)
def test_variables_of_messages_are_the_closed_table(heading, names):
    section = headed(REFERENCE / "variables.md", heading)
    told = re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE)

    assert dict(told) == dict(names)


def test_links_and_blocks_of_messages_are_all_told():
    links = headed(REFERENCE / "variables.md", "Links")
    blocks = headed(DOCS / "how-to" / "messages.md", "Blocks")

    assert re.findall(r"^\| `([^`]+)` \|$", links, re.MULTILINE) == list(LINKS)
    assert re.findall(r"^\| `([a-z_]+)` \|", blocks, re.MULTILINE) == list(BlockKind)
