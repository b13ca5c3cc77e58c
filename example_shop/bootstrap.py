"""Sets up a virtual environment for ``demo`` and ``selftest``. Standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Thread

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv"
PYTHON = HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
NEEDS = {"demo": ["demo"], "selftest": ["dev"]}

# What the tests can use beyond Python: name -> where it is, and the port to reach, if any.
SERVICES: dict[str, tuple[str, int]] = {
    "postgres": ("UPSELL_TEST_POSTGRES", 5432),
    "mariadb": ("UPSELL_TEST_MARIADB", 3306),
    "redis": ("UPSELL_TEST_REDIS", 6379),
    "rabbitmq": ("UPSELL_TEST_RABBITMQ", 5672),
    "browser": ("", 0),
    "stripe": ("", 0),
    "oscar": ("", 0),
    "salesman": ("", 0),
    "oracles": ("", 0),
    "webpush": ("", 0),
}
DATABASES = ("postgres", "mariadb")
# name -> what is imported, and the extra that brings it.
DRIVERS = {
    "postgres": ("psycopg", "postgres"),
    "mariadb": ("MySQLdb", "mysql"),
    "redis": ("celery, redis", "brokers"),
    "rabbitmq": ("celery, redis", "brokers"),
    "browser": ("playwright, axe_playwright_python", "browser"),
    "stripe": ("localstripe, stripe", "stripe-tests"),
    "oscar": ("oscar, sorl", "oscar-tests"),
    "salesman": ("salesman", "salesman-tests"),
    "oracles": ("scipy, statsmodels, tea_tasting", "oracles"),
    "webpush": ("pywebpush", "webpush"),
}
LARGE = {"oracles"}  # some 500 MB: brought where it is required, used where it is there
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def prepare(argv: list[str]) -> None:
    """Set up for the two commands of the README; do nothing for any other."""
    command = argv[1] if len(argv) > 1 else ""
    if command not in NEEDS:
        return
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    _set_up(NEEDS[command])
    if command == "selftest":
        sys.exit(_selftest(argv[2:]))
    if Path(sys.prefix).resolve() != HOME.resolve():
        os.execv(PYTHON, [str(PYTHON), str(ROOT / "manage.py"), *argv[1:]])  # noqa: S606


def _set_up(extras: list[str]) -> None:
    """Make the environment and install into it; at once when nothing changed since."""
    stamp = HOME / f"ready-{'-'.join(extras)}"
    wanted = hashlib.sha256(
        (ROOT / "pyproject.toml").read_bytes() + sys.version.encode() + str(ROOT).encode()
    ).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not PYTHON.exists():
        print(f"Setting up {HOME.name}, once …", flush=True)
        try:
            venv.create(HOME, with_pip=True, clear=HOME.exists())
        except subprocess.CalledProcessError:
            sys.exit("Python cannot make virtual environments: on Debian, install python3-venv.")
    print(f"Installing what is needed: {', '.join(extras)} …", flush=True)
    _pip("install", "-e", f"{ROOT}[{','.join(extras)}]")
    stamp.write_text(wanted)


def _pip(*arguments: str, check: bool = True) -> bool:
    command = [str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        command, check=False, cwd=ROOT, stderr=None if check else subprocess.DEVNULL
    )
    if check and done.returncode:
        sys.exit("Installing failed; what pip said is above.")
    return done.returncode == 0


def _selftest(arguments: list[str]) -> int:
    """Run the tests: SQLite always, the other databases where they are reachable."""
    required = {name for name in os.environ.get("UPSELL_TEST_REQUIRE", "").split(",") if name}
    unknown = required - set(SERVICES)
    if unknown:
        print(f"UPSELL_TEST_REQUIRE names what no test needs yet: {', '.join(sorted(unknown))}")
        return 2
    _bring(required)
    missing = {name: why for name in SERVICES if (why := _missing(name, name in required))}
    for name in sorted(required & set(missing)):
        print(f"Required and missing: {name}: {missing[name]}")
    if required & set(missing):
        return 1
    os.environ["UPSELL_TEST_MISSING"] = ",".join(missing)
    result = _pytest("sqlite", arguments).wait()
    there = [name for name in DATABASES if name not in missing]
    if there and result == 0:
        result = _together({name: _pytest(name, arguments, told=PIPE) for name in there})
    if missing:
        print("Skipped, because this machine lacks it:")
        for name, why in missing.items():
            print(f"  - {name}: {why}")
    return result


def _together(running: dict[str, Popen[str]]) -> int:
    """Wait for servers that are tested at the same time; say whose each line is."""

    def say(name: str, lines: Iterable[str]) -> None:
        for line in lines:
            print(f"{name}: {line}", end="", flush=True)

    tellers = [Thread(target=say, args=(name, one.stdout or ())) for name, one in running.items()]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    ended = [one.wait() for one in running.values()]
    return next((code for code in ended if code), 0)


def _bring(names: set[str]) -> None:
    """Install at once what is required; what cannot be had so is tried again by itself."""
    wanted = {
        DRIVERS[name][1]
        for name in names
        if not _imports(DRIVERS[name][0]) and (name != "salesman" or _may_have_salesman())
    }
    if wanted:
        print(f"Installing what is required: {', '.join(sorted(wanted))} …", flush=True)
        _pip("install", "-e", f"{ROOT}[{','.join(sorted(wanted))}]", check=False)


def _may_have_salesman() -> bool:
    return _runs("import django; assert django.VERSION < (6,)")


def _missing(name: str, required: bool) -> str:
    variable, port = SERVICES[name]
    host = os.environ.get(variable, "127.0.0.1")
    if name == "browser":
        if not any(map(shutil.which, BROWSERS)):
            return f"none of {', '.join(BROWSERS)} is installed"
    elif port:
        try:
            socket.create_connection((host, port), timeout=2).close()
        except OSError:
            return f"no server answers on {host}:{port}"
    module, extra = DRIVERS[name]
    if name == "salesman" and not _may_have_salesman():
        return "it needs a Django below 6"  # installing it would replace the one that is tested
    if not _imports(module):
        if name == "mariadb" and not shutil.which("mariadb_config"):
            return "its driver needs the development files of MariaDB to be built"
        if name in LARGE and not required:
            return f"the extra [{extra}] is large: UPSELL_TEST_REQUIRE={name} installs it"
        _pip("install", f"{ROOT}[{extra}]", check=False)
    return "" if _imports(module) else f"the driver {module} cannot be installed"


def _imports(module: str) -> bool:
    return _runs(f"import {module}")


def _runs(code: str) -> bool:
    probe = [str(PYTHON), "-c", code]
    return subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode == 0


def _pytest(database: str, arguments: list[str], *, told: int | None = None) -> Popen[str]:
    """Begin to test on a database; what it says goes where ours goes, or into a pipe."""
    print(f"Testing on {database} …", flush=True)
    command = [str(PYTHON), "-m", "pytest", *arguments]
    if database != "sqlite":
        command += ["-m", "databases"]
    environment = {
        **os.environ,
        "UPSELL_TEST_DB": database,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    return Popen(command, cwd=ROOT, env=environment, stdout=told, text=True)
