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
    """Started at once; a context manager that leaves nothing running. serial_in/QMP are sockets bound by QEMU before
    it says its greeting, so that nothing has to be polled for."""

    def __init__(self, directory, *args, memory="512M", smp=2, machine="q35"):
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
            pass_fds=fds, stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr)
        serial_end.close()
        qmp_end.close()
        self.qmp_in = b""
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
        if not self.qmp_in and not self.events:
            self._qmp_message(10)  # the greeting
            self.events.append("greeted")
            self._qmp_call({"execute": "qmp_capabilities"})
        return self._qmp_call({"execute": command, "arguments": arguments})

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
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.qmp_socket], [], [], left)[0]:
                self._fail("QMP said nothing for %g s" % timeout)
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
