"""localstripe as a process of its own, on the loopback and nowhere else.

It is a program under the GPL: it is run, never imported.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# localstripe binds every interface, keeps its objects in a file with a fixed name under /tmp and
# knows no way to say which port it took. Python runs this file before it runs localstripe.
SITECUSTOMIZE = '''\
"""Put the server on the loopback, keep it off the disk, end it with its parent."""

import builtins
import os
import shutil
import socket
import threading

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Loopback(socket.socket):
    def __init__(self, family=-1, *rest, **named):
        # Not "::1": a container often has no IPv6.
        super().__init__(socket.AF_INET if family == socket.AF_INET6 else family, *rest, **named)

    def bind(self, address):
        super().bind(("127.0.0.1", address[1]))

    def listen(self, *rest):
        super().listen(*rest)
        with plainly_open(os.path.join(FOLDER, "taken"), "w") as file:
            file.write(str(self.getsockname()[1]))
        os.replace(os.path.join(FOLDER, "taken"), os.path.join(FOLDER, "port"))


def open_elsewhere(path, *rest, **named):
    # It keeps its objects in a file of a fixed name, which the next server would read.
    kept = str(path).endswith("localstripe.pickle")
    return plainly_open(os.devnull if kept else path, *rest, **named)


def end_with_parent():
    while os.read(0, 1):
        pass
    shutil.rmtree(FOLDER, ignore_errors=True)
    os._exit(0)


plainly_open = builtins.open
builtins.open = open_elsewhere
socket.socket = Loopback
threading.Thread(target=end_with_parent, daemon=True).start()
'''


def missing() -> str:
    """Return what is not installed of the extra ``stripe-tests``; empty when all is."""
    wanted = ("localstripe", "stripe")
    return ", ".join(name for name in wanted if importlib.util.find_spec(name) is None)


class LocalStripe:
    """The process; ``url`` is where it answers, without a slash at the end."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="upsell-localstripe-")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, *, timeout_seconds: float = 30) -> None:
        """Start it and return once it is listening.

        Raises:
            RuntimeError: It ended or said nothing in time; the message ends with its log.
        """
        folder = Path(self._folder.name)
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        environment.pop("PYTHONWARNINGS", None)  # its handlers are deprecated by aiohttp
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "localstripe", "--port", "0", "--from-scratch"],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,  # its end tells the child that we are gone
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url = f"http://127.0.0.1:{self._port(folder, timeout_seconds)}"

    def stop(self) -> None:
        """End it. May be called twice."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
        self._folder.cleanup()

    def _port(self, folder: Path, timeout_seconds: float) -> int:
        """Wait for the port: it is written once the kernel takes connections."""
        assert self._process is not None
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            if (folder / "port").exists():
                return int((folder / "port").read_text())
            time.sleep(0.02)
        self._process.kill()
        log = (folder / "log").read_text()[-2000:]
        raise RuntimeError(
            f"localstripe did not start within {timeout_seconds} s, or ended:\n{log}"
        )
