"""The matrix: Python by Django by database, and everything else that must hold."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "imports", "tests", "docs", "wheel"]
nox.options.default_venv_backend = "venv"

CELLS = [("3.11", "5.2"), ("3.12", "6.0"), ("3.13", "6.1")]
DATABASES = {"sqlite": "", "postgres": "postgres", "mariadb": "mysql"}
"""Each database, and the extra with its driver."""


@nox.session
def lint(session: nox.Session) -> None:
    """Format and lint."""
    session.install("-e", ".[lint]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    session.install("-e", ".[dev,lint,stripe]")
    session.run("mypy", "upsell")


@nox.session
def imports(session: nox.Session) -> None:
    """Who imports whom, and that no migration is missing."""
    session.install("-e", ".[dev,lint,stripe]")
    session.run("lint-imports")
    session.run(
        "python", "-m", "django", "makemigrations", "--check", "--dry-run",
        env={"DJANGO_SETTINGS_MODULE": "tests.settings"},
    )  # fmt: skip


@nox.session
@nox.parametrize("database", list(DATABASES))
@nox.parametrize(
    ("python", "django"), CELLS, ids=[f"python{python}-django{django}" for python, django in CELLS]
)
def tests(session: nox.Session, django: str, database: str) -> None:
    """Every test on SQLite; those that also run on servers on PostgreSQL and MariaDB.

    ``UPSELL_TEST_POSTGRES`` and ``UPSELL_TEST_MARIADB`` name the hosts.
    """
    salesman = "salesman-tests" if django.startswith("5.") else ""
    wanted = ["dev", "stripe-tests", "oscar-tests", salesman, DATABASES[database]]
    extras = ",".join(filter(None, wanted))
    session.install("-e", f".[{extras}]", f"Django=={django}.*")
    only = [] if database == "sqlite" else ["-m", "databases"]
    session.run("python", "-m", "pytest", *only, *session.posargs, env={"UPSELL_TEST_DB": database})


@nox.session
def soak(session: nox.Session) -> None:
    """Everything at once on PostgreSQL for three minutes; ``-- 3600`` for an hour."""
    seconds = session.posargs[0] if session.posargs else "180"
    session.install("-e", ".[dev,postgres]")
    session.run(
        "python", "-m", "pytest", "-m", "soak", "-s", "tests/soak",
        env={"UPSELL_TEST_DB": "postgres", "UPSELL_SOAK_SECONDS": seconds},
    )  # fmt: skip


@nox.session
def browser(session: nox.Session) -> None:
    """The tests that drive a real browser."""
    session.install("-e", ".[dev,browser]")
    session.run(
        "python", "-m", "pytest", "tests/browser", *session.posargs,
        env={"UPSELL_TEST_REQUIRE": "browser"},
    )  # fmt: skip


@nox.session
def oracles(session: nox.Session) -> None:
    """Every statistic against other programs that compute it."""
    session.install("-e", ".[dev,oracles]")
    session.run(
        "python", "-m", "pytest", "tests/engine", *session.posargs,
        env={"UPSELL_TEST_REQUIRE": "oracles"},
    )  # fmt: skip


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the money, state and token modules a little, many times: does a test notice?

    One at a time, since two would share a database, and takes an hour. ``mutmut results`` lists
    what survived, ``mutmut show NAME`` says how.
    """
    session.install("-e", ".[dev,mutation]")
    session.run(
        "mutmut",
        "run",
        "--max-children",
        "1",
        *session.posargs,
        env={"UPSELL_TEST_RUN": "mutation"},
    )
    session.run("mutmut", "results")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, without a warning, and what it claims."""
    session.install("-e", ".[dev,docs]")
    session.run("sphinx-build", "-W", "-q", "-b", "html", "docs", "docs/_build")
    session.run("python", "-m", "pytest", "tests/docs", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel, used in an environment that has nothing but it."""
    session.install("build")
    check = Path(".ci/wheel.py").resolve()
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--wheel", "--outdir", folder, ".", silent=True)
        (made,) = Path(folder).glob("*.whl")
        session.run("python", "-m", "venv", f"{folder}/empty")
        python = f"{folder}/empty/{'Scripts' if os.name == 'nt' else 'bin'}/python"
        session.run(python, "-m", "pip", "install", "--quiet", str(made), external=True)
        with session.chdir(folder):
            session.run(python, str(check), external=True)
