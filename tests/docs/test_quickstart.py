"""The quickstart, followed literally in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, blocks

QUICKSTART = blocks(DOCS / "quickstart.md")
LEFT_TO_THE_READER = {
    "environment",  # the tests run in one already
    "terminal, leave it running",  # the page's own test asks the same pages
}


def run(command: str, folder: Path) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "DJANGO_SETTINGS_MODULE" and not name.startswith("UPSELL_")
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every block of the page carried out; each command to what it printed."""
    folder = tmp_path_factory.mktemp("quickstart")
    printed: dict[str, str] = {}
    for block in QUICKSTART:
        if block.caption in LEFT_TO_THE_READER:
            continue
        if block.caption == "terminal":
            for command in block.text.splitlines():
                printed[command] = run(command, folder)
            continue
        name, _comma, at_the_end = block.caption.partition(", ")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if at_the_end else ""
        path.write_text(before + block.text)
    return printed


def test_the_page_leads_to_an_accepted_offer(followed):
    assert "Ran 1 test" in followed["python manage.py test shop"]
    assert "OK" in followed["python manage.py test shop"]


def test_the_page_leaves_nothing_to_complain_about(followed):
    assert "no issues" in followed["python manage.py check"]


def test_the_tiny_shop_stays_tiny():
    shop = [block for block in QUICKSTART if block.caption in {"shop/models.py", "shop/views.py"}]
    lines = [line for block in shop for line in block.text.splitlines() if line.strip()]

    assert len(lines) <= 60


# ------------------------------------------------------------------ the README


README = (ROOT / "README.md").read_text()


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def block(caption: str) -> str:
    (found,) = [row.text for row in QUICKSTART if row.caption == caption]
    return re.sub(r"\bshop(?=[./ ]\w)", "myshop", found).replace("TinyShop", "MyShop")


def test_the_install_of_the_readme_works_when_pasted_into_a_shop(tmp_path):
    settings, addresses, wired = fences("python")
    (tag,) = fences("html+django")
    run("django-admin startproject mysite . && python manage.py startapp myshop", tmp_path)
    shop, site = tmp_path / "myshop", tmp_path / "mysite"
    templates = shop / "templates" / "myshop"
    templates.mkdir(parents=True)
    for name in ("models", "views", "tests", "first_campaign"):
        (shop / f"{name}.py").write_text(block(f"shop/{name}.py"))
    (shop / "signals.py").write_text(
        "from django.dispatch import Signal\n\norder_cancelled = Signal()\n"
    )
    thanks = block("shop/templates/shop/thanks.html")
    bare = re.sub(r"{% (load upsell|upsell_offer .*?) %}", "", thanks)
    assert "upsell" not in bare
    (templates / "thanks.html").write_text(bare + tag)
    with (site / "settings.py").open("a") as file:
        file.write(f'INSTALLED_APPS += ["myshop"]\n{settings}')
    urls = block("mysite/urls.py").replace('    path("upsell/", include("upsell.urls")),\n', "")
    (site / "urls.py").write_text(urls + addresses)
    head, line = wired.splitlines()
    adapter = block("shop/adapter.py")
    assert head in adapter
    (shop / "adapter.py").write_text(adapter.replace(head, f"{head}\n{line}"))

    run("python manage.py makemigrations myshop && python manage.py migrate", tmp_path)

    run("python manage.py check", tmp_path)
    assert "Ran 1 test" in run("python manage.py test myshop", tmp_path)
    assert "nothing was due" in run("python manage.py upsell_run --once", tmp_path)


def test_the_readme_has_exactly_two_set_up_commands():
    assert re.findall(r"^    (python3 .+)$", README, re.MULTILINE) == [
        "python3 manage.py demo",
        "python3 manage.py selftest",
    ]


def test_the_readme_links_to_pages_that_exist():
    links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)#]+)[^)]*\)", README)

    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []
