# SPDX-License-Identifier: Apache-2.0
"""Starting and ending: options, addresses, what is in use, the service manager, memory, connections by the thousand."""
import os
import pathlib
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

import wire
from conftest import BUILD, Daemon, check_log

SANITIZED = b"__asan_init" in (BUILD / "seraid").read_bytes() or b"__tsan_init" in (BUILD / "seraid").read_bytes()


def fails(command, status, *words):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done
    assert "ready" not in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("seraid: ") and all(w in last for w in words), done.stderr


def test_help_and_version():
    for option in ("--help", "--version"):
        done = subprocess.run([BUILD / "seraid", option], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "seraid" in done.stdout and done.stderr == ""


def test_full_mode_needs_its_helper(directory, monkeypatch):
    os.chmod(directory, 0o711)
    # The search for leaks at the end is done by tracing the process, which its filter refuses to everybody.
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    fails([BUILD / "seraid", "--state", directory + "/state", "--runtime", directory + "/run", "--https", "127.0.0.1:0",
           "--user", "12345", "--rootd", directory + "/nobody"], 1, "serai-rootd", directory + "/nobody")


def test_bad_options():
    fails([BUILD / "seraid", "--rootless", "--nonsense"], 2, "--nonsense")
    fails([BUILD / "seraid", "--rootless", "--http", "0.0.0.0:80"], 2, "loopback")


def test_ready_in_time_and_small(directory):
    daemon = Daemon(directory).start()
    status = pathlib.Path("/proc/%d/status" % daemon.process.pid).read_text()
    rss = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    print("ready after %.3f s, resident %d KiB" % (daemon.start_seconds, rss))
    status, seconds = daemon.stop()
    assert status == 0
    if not SANITIZED:
        assert rss <= 25 * 1024
        assert seconds < 2
    check_log(daemon)


def test_files_are_private(directory):
    daemon = Daemon(directory).start()
    for root in (daemon.state, daemon.runtime):
        for path in [root, *root.rglob("*")]:
            assert path.lstat().st_mode & 0o077 == 0 or path.is_symlink(), path
    assert daemon.stop()[0] == 0


def test_one_listener_is_enough(directory):
    daemon = Daemon(directory, https=None).start()
    assert daemon.https is None
    with daemon.api() as client:
        assert client.call("host.get_all")
    assert daemon.stop()[0] == 0


def test_a_port_in_use(directory):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        address = "127.0.0.1:%d" % s.getsockname()[1]
        fails(Daemon(directory, https=address).command(), 1, address, "in use")
        fails(Daemon(directory, http=address).command(), 1, address, "in use")


def test_directories_in_use(directory):
    first = Daemon(directory).start()
    second = Daemon(directory)
    fails(second.command(), 1, "in use")
    second.runtime = pathlib.Path(directory) / "run2"
    fails(second.command(), 1, "in use")
    second.state, second.runtime = pathlib.Path(directory) / "state2", first.runtime
    fails(second.command(), 1, "in use")
    with first.api() as client:
        assert client.call("host.get_all")
    assert first.stop()[0] == 0


def test_directories_not_writable(directory):
    daemon = Daemon(directory)
    daemon.state = pathlib.Path("/proc/no/such")
    fails(daemon.command(), 1, "/proc/no")
    (pathlib.Path(directory) / "file").write_text("")
    daemon.state = pathlib.Path(directory) / "file"
    fails(daemon.command(), 1, "file")


def test_a_password_is_made(directory):
    daemon = Daemon(directory, password=None).start()
    path = daemon.state / "password"
    assert path.stat().st_mode & 0o777 == 0o600
    with wire.Api(*daemon.host_port()) as client:
        client.login("root", path.read_text().rstrip("\n"))
    assert daemon.stop()[0] == 0


def test_a_missing_password_file(directory):
    fails(Daemon(directory, "--password-file", "/no/such/file", password=None).command(), 1, "/no/such/file")


def test_service_manager(directory):
    path = os.path.join(directory, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            daemon = Daemon(directory).start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert manager.recv(100) == b"READY=1"
        assert daemon.stop()[0] == 0
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_ends_in_time_with_clients_waiting(directory, sig):
    daemon = Daemon(directory).start()
    idle = [daemon.connect() for _ in range(20)]
    client = daemon.api()
    token = client.call("event.from", ["pool_patch"], "", 0.0)["token"]

    def wait():
        try:
            client.call("event.from", ["pool_patch"], token, 60.0)
        except (AssertionError, OSError):
            pass  # cut off, as expected

    thread = threading.Thread(target=wait)
    thread.start()
    status, seconds = daemon.stop(sig)
    thread.join()
    assert status == 0 and (SANITIZED or seconds < 2.5)
    for raw in idle:
        assert raw.ended()
    check_log(daemon)


def test_hangup_is_ignored(directory):
    daemon = Daemon(directory).start()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.process.send_signal(signal.SIGPIPE)
    with daemon.api() as client:
        assert client.call("host.get_all")
    assert daemon.stop()[0] == 0


def test_what_was_acknowledged_survives_a_kill(directory):
    daemon = Daemon(directory).start()
    with daemon.api() as client:
        client.call("pool.set_name_label", client.pool(), "kept")
        vm = client.new_vm("seen")
        token, old = client.call("event.from", ["*"], "", 0.0)["token"], client.session
        daemon.stop(signal.SIGKILL)
    daemon = Daemon(directory).start()
    with daemon.api() as client:
        assert client.call("pool.get_name_label", client.pool()) == "kept"
        # A client that goes on with what it had: it logs in again, is told that it missed something, and asks anew.
        new, client.session = client.session, old
        assert client.fails("event.from", ["*"], token, 0.0).code == "SESSION_INVALID"
        client.session = new
        assert client.fails("event.from", ["*"], token, 0.0).code == "EVENTS_LOST"
        batch = client.call("event.from", ["*"], "", 0.0)
        assert vm in [e["ref"] for e in batch["events"]] and batch["token"] > token
        assert client.call("event.from", ["*"], batch["token"], 0.0)["events"] == []
    assert daemon.stop()[0] == 0
    check_log(daemon)


def test_thousands_of_silent_connections(directory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = 1000 if SANITIZED else min(10000, hard - 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, many + 200), hard))
    daemon = Daemon(directory).start()
    status = pathlib.Path("/proc/%d/status" % daemon.process.pid)

    def figure(name):
        return int(next(line for line in status.read_text().splitlines() if line.startswith(name)).split()[1])

    silent = []
    try:
        before = figure("VmRSS")
        silent = [daemon.connect() for _ in range(many)]
        with daemon.api() as client:
            assert client.call("pool.get_all")
        if not SANITIZED:
            assert figure("VmRSS") - before < 16 * 1024
        assert figure("Threads") < 40
        assert silent[-1].request("GET", "/").status == 200
    finally:
        for raw in silent:
            raw.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert daemon.stop()[0] == 0
    check_log(daemon)


def test_too_many_connections_are_refused_politely(directory):
    """With few descriptors the daemon keeps half for its own work and says 503 beyond the other half."""
    daemon = Daemon(directory, https=None)
    daemon.prefix = ["prlimit", "--nofile=200:200"]
    daemon.start()
    held = []
    try:
        refused = None
        while refused is None and len(held) < 200:
            held.append(daemon.connect())
            status = held[-1].request("GET", "/").status
            if status != 200:
                refused = status
        assert refused == 503 and len(held) > 50
        held.pop().close()
        assert held[0].request("GET", "/").status == 200
        for raw in held[1:]:
            raw.close()
        until = time.monotonic() + wire.LIMIT
        status = 503
        while status == 503 and time.monotonic() < until:  # it learns of the closed ones in its own time
            with wire.Raw(unix=daemon.unix) as raw:
                status = raw.request("GET", "/").status
        assert status == 200
    finally:
        for raw in held:
            raw.close()
    assert daemon.stop()[0] == 0
    check_log(daemon)


def test_the_default_port_or_the_next_free(directory):
    daemon = Daemon(directory, http=None, https=None).start()
    host, port = daemon.host_port(tls=True)
    assert host == "127.0.0.1" and 8443 <= port < 8543
    os.mkdir(os.path.join(directory, "second"))
    second = Daemon(os.path.join(directory, "second"), http=None, https=None).start()
    assert second.host_port(tls=True)[1] != port
    assert daemon.stop()[0] == 0 and second.stop()[0] == 0


def test_the_agent_restarts_and_ends(directory):
    """host.restart_agent: the same process answers again, on its fixed socket, without the session; shutdown_agent ends it."""
    daemon = Daemon(directory).start()
    with daemon.api() as api:
        host = api.call("host.get_all")[0]
        api.call("host.restart_agent", host)
    assert daemon.read_line(time.monotonic() + 60).startswith("ready ")
    assert daemon.process.poll() is None
    with wire.Raw(unix=daemon.unix) as raw:
        raw.send("GET / HTTP/1.0\r\n\r\n")
        raw.fill()
        assert raw.pending.startswith(b"HTTP/1.")
    daemon.stop()
    daemon.start()
    with daemon.api() as api:
        host = api.call("host.get_all")[0]
        assert api.fails("host.shutdown", host).code == "HOST_NOT_DISABLED"
        api.call("host.disable", host)
        error = api.fails("host.shutdown", host)
        assert error.code == "OPERATION_NOT_ALLOWED" and "rootless" in error.params[0]
        api.call("host.shutdown_agent")
    assert daemon.process.wait(60) == 0
    daemon.process.stdout.close()
    check_log(daemon)
