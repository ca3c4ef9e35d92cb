# SPDX-License-Identifier: Apache-2.0
"""A client of the thin CLI protocol: what XenServer's xe does on the wire, written from the protocol's facts alone."""
import io
import socket
import struct
import urllib.parse

LIMIT = 60  # seconds that anything may take
MAGIC = b"XenSource thin CLI protocol"
PRINT, LOAD, PROMPT, EXIT, HTTP_GET, HTTP_PUT, ERROR, DEBUG, STDERR, HTTP_CONNECT = 0, 1, 3, 4, 12, 13, 14, 15, 16, 17
COMMAND, RESPONSE, BLOB = 9, 10, 11
OK, FAILED, CHUNK, END, WAIT = 5, 6, 7, 8, 18


class Refused(Exception):
    """An HTTP answer where the greeting should be."""


class ThinClient:
    """One command. address: (host, port) or a path; wrap: puts TLS around a socket. files: name -> bytes that may be
    read; written files are put there too. line: what the person answers; typed: what he types at a console."""

    def __init__(self, address, wrap=None, files=None, line=b"", typed=b"", heartbeats=0):
        self.address, self.wrap, self.files = address, wrap, files if files is not None else {}
        self.line, self.typed, self.heartbeats = line, typed, heartbeats
        self.out, self.err, self.commands, self.console = io.StringIO(), io.StringIO(), [], b""

    def connect(self):
        if isinstance(self.address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(LIMIT)
            sock.connect(self.address)
            return sock
        sock = socket.create_connection(self.address, timeout=LIMIT)
        return self.wrap(sock) if self.wrap else sock

    @staticmethod
    def read(sock, n):
        data = b""
        while len(data) < n:
            part = sock.recv(n - len(data))
            if not part:
                raise EOFError("the server closed after %r" % data)
            data += part
        return data

    def read_int(self, sock):
        return struct.unpack("<i", self.read(sock, 4))[0]

    @staticmethod
    def message(*ints):
        return struct.pack("<%di" % (len(ints) + 1), 4 * len(ints), *ints)

    def greet(self, sock):
        got = sock.recv(1)
        if got == b"H":
            raise Refused(got + sock.recv(4096))
        got += self.read(sock, len(MAGIC) - 1)
        assert got == MAGIC, got
        major, minor = self.read_int(sock), self.read_int(sock)
        assert (major, minor) == (0, 2)
        sock.sendall(MAGIC + struct.pack("<ii", major, minor))

    def send_blob(self, sock, data, piece=1000):
        for at in range(0, len(data), piece):
            part = data[at:at + piece]
            sock.sendall(self.message(BLOB, CHUNK, len(part)) + part)
        sock.sendall(self.message(BLOB, END))

    def load(self, sock, name):
        if name not in self.files:
            sock.sendall(self.message(RESPONSE, FAILED))
            return
        sock.sendall(self.message(RESPONSE, OK))
        self.send_blob(sock, self.files[name])

    @staticmethod
    def read_head(sock):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = sock.recv(1)
            if not part:
                raise EOFError
            head += part
        return int(head.split()[1])

    def open(self, method, url, extra=""):
        assert url.startswith("/"), url
        sock = self.connect()
        sock.sendall(("%s %s HTTP/1.0\r\n%s\r\n" % (method, url, extra)).encode())
        return sock, self.read_head(sock)

    def http_get(self, name, url):
        sock, status = self.open("GET", url)
        with sock:
            if status != 200:
                return False
            data = b"".join(iter(lambda: sock.recv(65536), b""))
        if name:
            self.files[name] = data
        else:
            self.out.write(data.decode())
        return True

    def http_put(self, name, url):
        if name not in self.files:
            return False
        sock, status = self.open("PUT", url, "Content-Length: %d\r\n" % len(self.files[name]))
        with sock:
            if status != 200:
                return False
            sock.sendall(self.files[name])
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        return True

    def http_connect(self, url):
        sock, status = self.open("CONNECT", url, "content-length: 0\r\n")
        with sock:
            if status != 200:
                return False
            sock.sendall(self.typed)
            while self.typed not in self.console:
                part = sock.recv(65536)
                if not part:
                    return False
                self.console += part
        return True

    def transfer(self, sock, what, args):
        sock.sendall(self.message(RESPONSE, WAIT) * self.heartbeats)
        good = {HTTP_GET: self.http_get, HTTP_PUT: self.http_put, HTTP_CONNECT: self.http_connect}[what](*args)
        sock.sendall(self.message(RESPONSE, OK if good else FAILED))

    def serve(self, sock):
        while True:
            payload = self.read(sock, self.read_int(sock))
            kind, what = struct.unpack_from("<ii", payload)
            assert kind == COMMAND, payload
            body, strings = payload[8:], []
            self.commands.append(what)
            if what == EXIT:
                assert len(body) == 4
                return struct.unpack("<i", body)[0]
            while body:
                n = struct.unpack_from("<i", body)[0]
                strings.append(body[4:4 + n].decode())
                assert len(body) >= 4 + n
                body = body[4 + n:]
            if what == PRINT:
                self.out.write(*strings)
                self.out.write("\n")
            elif what == STDERR:
                self.err.write(*strings)
            elif what == LOAD:
                self.load(sock, *strings)
            elif what == PROMPT:
                assert not strings
                self.send_blob(sock, self.line, 3)
            else:
                self.transfer(sock, what, strings)

    def run(self, *words, user=None, password=None, session=None, end="\n"):
        """(exit status, standard output, standard error)"""
        lines = (["session_id=" + session] if session else []) + list(words)
        lines += ["username=" + user] if user is not None else []
        lines += ["password=" + password] if password is not None else []
        body = "".join(line + end for line in lines).encode()
        with self.connect() as sock:
            sock.sendall(b"POST /cli HTTP/1.0\r\nUser-agent: xe\r\noriginator: cli\r\ncontent-length: %d\r\n\r\n"
                         % len(body) + body)
            self.greet(sock)
            status = self.serve(sock)
            assert sock.recv(1) == b"", "something came after Exit"
        return status, self.out.getvalue(), self.err.getvalue()


def parse_url(url):
    """Host and port of an address such as https://127.0.0.1:8443."""
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port
