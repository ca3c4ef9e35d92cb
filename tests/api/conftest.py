# SPDX-License-Identifier: Apache-2.0
"""A real seraid with machines that are not real, started for each test file: SERAI_BUILD names the build directory."""
import os
import pathlib
import selectors
import signal
import subprocess
import tempfile
import time

import pytest

import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SERAI_BUILD", ROOT / "build")).resolve()
PASSWORD = "correct horse"
START_LIMIT = 60  # sanitizers and a loaded machine; the figure that counts is measured by test_start.py


class Daemon:
    """One seraid process. Addresses are those of its ready line."""

    started = []

    def __init__(self, directory, *options, http="127.0.0.1:0", https="127.0.0.1:0", password=PASSWORD):
        self.dir = pathlib.Path(directory)
        self.state, self.runtime = self.dir / "state", self.dir / "run"
        self.log = self.dir / "log"
        self.options = list(options)
        self.listen = (["--http", http] if http else []) + (["--https", https] if https else [])
        if password is not None:
            (self.dir / "password").write_text(password + "\n")
            self.options += ["--password-file", str(self.dir / "password")]
        self.process, self.prefix = None, []

    def command(self):
        return [*self.prefix, str(BUILD / "seraid"), "--rootless", "--machine", "fake", "--state", str(self.state),
                "--runtime", str(self.runtime), "--log-level", "debug", *self.listen, *self.options]

    def start(self):
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log, text=True)
        Daemon.started.append(self.process)
        line = self.read_line(began + START_LIMIT)
        self.start_seconds = time.monotonic() - began
        assert line.startswith("ready "), "not ready: %r\n%s" % (line, self.log.read_text()[-4000:])
        self.https = self.http = self.unix = None
        for address in line.split()[1:]:
            if address.startswith("https://"):
                self.https = address
            elif address.startswith("http://"):
                self.http = address
            elif address.startswith("unix:"):
                self.unix = address[len("unix:"):]
        return self

    def read_line(self, until):
        with selectors.DefaultSelector() as s:
            s.register(self.process.stdout, selectors.EVENT_READ)
            while not s.select(max(0, until - time.monotonic())):
                assert time.monotonic() < until, "no ready line in time"
        return self.process.stdout.readline()

    def stop(self, sig=signal.SIGTERM):
        """Ends it; its exit status and how long that took."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        began = time.monotonic()
        status = self.process.wait(START_LIMIT)
        self.process.stdout.close()
        return status, time.monotonic() - began

    def log_text(self):
        return self.log.read_text(errors="replace")

    def host_port(self, tls=False):
        host, port = (self.https if tls else self.http).split("//")[1].rsplit(":", 1)
        return host, int(port)

    def api(self, **options):
        """A JSON-RPC client, logged in."""
        return wire.Api(*self.host_port(), **options).login("root", PASSWORD)

    def connect(self):
        return wire.Raw(*self.host_port())


def check_log(daemon, injected=None):
    """What must never be said: bugs, and reports of sanitizers. injected: what a line says whose error the test made."""
    for line in daemon.log_text().splitlines():
        if injected and (injected in line or line.endswith(" refused: INTERNAL_ERROR")):  # whose caller has seen the cause
            continue
        for word in ("INTERNAL_ERROR", "ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
                     "LeakSanitizer", "Assertion"):
            assert word not in line, line + "\n" + daemon.log_text()[-6000:]


def with_daemon(*arguments, **options):
    """A running daemon in a directory of its own; afterwards it must end cleanly and in time."""
    with tempfile.TemporaryDirectory(prefix="seraid-") as directory:
        daemon = Daemon(directory, *arguments, **options).start()
        try:
            yield daemon
            assert daemon.process.poll() is None, "the daemon died\n" + daemon.log_text()[-4000:]
        finally:
            status, _ = daemon.stop()
        assert status == 0, daemon.log_text()[-4000:]
        check_log(daemon)


@pytest.fixture(scope="module")
def daemon():
    yield from with_daemon()


@pytest.fixture(scope="module")
def api(daemon):
    with daemon.api() as client:
        yield client


@pytest.fixture
def directory():
    before = len(Daemon.started)
    with tempfile.TemporaryDirectory(prefix="seraid-") as path:
        yield path
        for process in Daemon.started[before:]:
            if process.poll() is None:  # a test that failed half-way
                process.kill()
                process.wait()
