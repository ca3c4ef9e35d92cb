# SPDX-License-Identifier: Apache-2.0
"""A bare QEMU for the tests of guest images: TCG, serial line and QMP on sockets of its own."""
import json
import os
import re
import select
import socket
import subprocess
import time


class Timeout(AssertionError):
    pass


class Machine:
    """Started at once; a context manager that leaves nothing running. The serial line and QMP are connected socket
    pairs, so that no path has to be waited for."""

    def __init__(self, directory, *args, memory="512M", smp=2, machine="q35", pass_fds=()):
        self.output = b""
        self.seen = 0
        # Pairs made here: QEMU inherits one end of each.
        self.serial, serial_end = socket.socketpair()
        self.qmp_socket, qmp_end = socket.socketpair()
        fds = (serial_end.fileno(), qmp_end.fileno())
        self.started = time.monotonic()
        self.stderr = open(os.path.join(directory, "qemu.err"), "w+b")
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", machine, "-nodefaults", "-no-user-config",
             "-display", "none", "-m", memory, "-smp", str(smp),
             "-chardev", "socket,id=s0,fd=%d" % fds[0], "-serial", "chardev:s0",
             "-chardev", "socket,id=q0,fd=%d" % fds[1], "-mon", "chardev=q0,mode=control"] + list(args),
            pass_fds=fds + tuple(pass_fds), stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr)
        serial_end.close()
        qmp_end.close()
        self.qmp_in = b""
        self.greeted = False
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for f in (self.serial, self.qmp_socket, self.stderr):
            f.close()

    def elapsed(self):
        return time.monotonic() - self.started

    def _fail(self, what):
        self.stderr.seek(0)
        raise Timeout("%s\nqemu: %s\nserial line, its end:\n%s" % (
            what, self.stderr.read().decode(errors="replace"), self.output[-4000:].decode(errors="replace")))

    def expect(self, pattern, timeout):
        """Wait for a regular expression in what the serial line says from here on; returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            m = re.compile(pattern.encode(), re.M).search(self.output, self.seen)
            if m:
                self.seen = m.end()
                return m
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.serial], [], [], left)[0]:
                self._fail("%r did not come in %g s" % (pattern, timeout))
            data = self.serial.recv(65536)
            if not data:
                self._fail("the serial line closed before %r" % pattern)
            self.output += data

    def send(self, text):
        self.serial.sendall(text.encode())

    def qmp(self, command, **arguments):
        if not self.greeted:
            self._qmp_message(30)
            self.greeted = True
            self._qmp_call({"execute": "qmp_capabilities"})
        return self._qmp_call({"execute": command, "arguments": arguments})

    def qmp_event(self, name, timeout):
        """Wait for an event, which may have come since the first qmp()."""
        while True:
            for e in self.events:
                if e["event"] == name:
                    return e
            self.events.append(self._qmp_message(timeout))

    def _qmp_call(self, message):
        self.qmp_socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            m = self._qmp_message(10)
            if "event" in m:
                self.events.append(m)
                continue
            assert "return" in m, m
            return m["return"]

    def _qmp_message(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.qmp_in:
            # The serial line is read meanwhile: a few hundred bytes that nobody takes stop the guest's processor.
            left = deadline - time.monotonic()
            ready = select.select([self.qmp_socket, self.serial], [], [], max(0, left))[0]
            if not ready:
                self._fail("QMP said nothing for %g s" % timeout)
            if self.serial in ready:
                self.output += self.serial.recv(65536)
            if self.qmp_socket not in ready:
                continue
            data = self.qmp_socket.recv(65536)
            if not data:
                self._fail("QMP closed")
            self.qmp_in += data
        line, self.qmp_in = self.qmp_in.split(b"\n", 1)
        return json.loads(line)

    def wait_exit(self, timeout):
        """Read the serial line until QEMU is gone; returns its status."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.serial], [], [], left)[0]:
                self._fail("QEMU did not end in %g s" % timeout)
            try:
                data = self.serial.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return self.process.wait(timeout=max(1.0, deadline - time.monotonic()))
            self.output += data
