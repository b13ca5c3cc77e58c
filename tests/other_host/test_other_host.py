"""A host that differs from ours, in a process of its own: no process changes its user model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.databases
def test_everything_works_in_a_project_that_differs():
    """``stories.py``: a user model and orders with UUIDs, each request in a transaction, below
    ``/store/de/shop/offers-app/``, a strict content policy, an admin site of another name."""
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider"]
    command += ["--ds", "tests.other_host.settings", "-o", "addopts=--import-mode=importlib"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)

    done = subprocess.run(
        [*command, str(HERE / "stories.py")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    stories = len(re.findall(r"^def test_", (HERE / "stories.py").read_text(), re.MULTILINE))
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= stories, "some were not run"
