# SPDX-License-Identifier: Apache-2.0
"""A small NBD client that keeps many requests under way, and starts serai-disk for tests."""

import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

READ, WRITE, DISC, FLUSH, TRIM, ZEROES = 0, 1, 2, 3, 4, 6
FUA = 1


class Nbd:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(str(path))
        assert self.take(8) == b"NBDMAGIC"
        self.take(10)
        self.s.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))
        self.size, self.flags = struct.unpack(">QH", self.take(10))
        self.cookie = 0
        self.lengths = {}

    def take(self, n):
        b = bytearray()
        while len(b) < n:
            part = self.s.recv(n - len(b))
            if not part:
                raise ConnectionError("the server has closed the connection")
            b += part
        return bytes(b)

    def send(self, cmd, offset=0, data=None, length=0, flags=0):
        self.cookie += 1
        n = len(data) if data is not None else length
        if cmd == READ:
            self.lengths[self.cookie] = n
        self.s.sendall(struct.pack(">IHHQQI", 0x25609513, flags, cmd, self.cookie, offset, n) + (data or b""))
        return self.cookie

    def reply(self):
        magic, error, cookie = struct.unpack(">IIQ", self.take(16))
        assert magic == 0x67446698
        n = self.lengths.pop(cookie, 0)
        return cookie, error, self.take(n) if n and not error else b""

    def run(self, cmd, offset=0, data=None, length=0, flags=0):
        cookie = self.send(cmd, offset, data, length, flags)
        got, error, data = self.reply()
        assert got == cookie
        return error, data

    def read(self, offset, length):
        error, data = self.run(READ, offset, length=length)
        assert error == 0, os.strerror(error)
        return data

    def write(self, offset, data, flags=0):
        error, _ = self.run(WRITE, offset, data, flags=flags)
        assert error == 0, os.strerror(error)

    def flush(self):
        error, _ = self.run(FLUSH)
        assert error == 0, os.strerror(error)

    def close(self):
        self.s.close()


class Server:
    """serai-disk with a control socket."""

    def __init__(self, program, work):
        self.path = pathlib.Path(work) / "control"
        self.p = subprocess.Popen([str(program), "--control", str(self.path)], stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(60)
        while True:
            try:
                self.s.connect(str(self.path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.p.poll() is None, self.p.stderr.read()
                assert time.monotonic() < end
                os.sched_yield()
        self.events = []

    def message(self):
        lines = self.s.recv(65536).decode().splitlines()
        return lines[0], dict(x.split("=", 1) for x in lines[1:])

    def try_(self, verb, *pairs, **more):
        lines = [verb] + [f"{k}={v}" for k, v in pairs] + [f"{k.replace('_', '-')}={v}" for k, v in more.items()]
        self.s.send("\n".join(lines).encode())
        while True:
            kind, values = self.message()
            if kind != "event":
                return kind, values
            self.events.append(values)

    def ask(self, verb, *pairs, **more):
        kind, values = self.try_(verb, *pairs, **more)
        assert kind == "ok", (verb, values)
        return values

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.end()

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        assert self.p.wait(60) == 0, self.p.stderr.read()
        self.end()

    def end(self):
        self.s.close()
        self.p.stderr.close()
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
