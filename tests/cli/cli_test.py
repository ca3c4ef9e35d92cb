# SPDX-License-Identifier: Apache-2.0
"""The program serai against a server of a few lines: cli_test.py PROGRAM. No daemon, no fixed port, no sleeps."""
import json
import os
import pathlib
import pty
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
SESSION = "OpaqueRef:11111111-0000-4000-8000-000000000000"
TASK = "OpaqueRef:22222222-0000-4000-8000-000000000000"
CONSOLE = "33333333-0000-4000-8000-000000000000"
VM_UUID = "44444444-0000-4000-8000-000000000000"
VM_REF, CONSOLE_REF = "OpaqueRef:" + VM_UUID, "OpaqueRef:" + CONSOLE
VDI_REF = "OpaqueRef:55555555-0000-4000-8000-000000000000"
POOL_REF, SR_REF = "OpaqueRef:pool", "OpaqueRef:sr"


def record(**fields):
    return {"uuid": VM_UUID, "name_label": "web", "name_description": "", "power_state": "Running",
            "is_a_template": False, "is_a_snapshot": False, "is_control_domain": False,
            "consoles": [CONSOLE_REF], "VBDs": [], **fields}


class Server:
    """Answers one connection per thread. calls: (method, params); what a test wants to say stands in answers."""

    def __init__(self, path=None, tls=None):
        self.calls, self.answers, self.uploads, self.heads = [], {}, [], []
        self.tls = tls
        if path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(path)
        else:
            self.sock = socket.create_server(("127.0.0.1", 0))
            self.port = self.sock.getsockname()[1]
        self.sock.listen(8)
        self.task = {"status": "success", "result": "", "error_info": []}
        self.console = b"login: "
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def serve(self, conn):
        try:
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
            with conn, conn.makefile("rwb") as f:
                while self.request(conn, f):
                    pass
        except (OSError, ssl.SSLError):
            pass

    def request(self, conn, f):
        line = f.readline().decode()
        if not line:
            return False
        method, path, _ = line.split()
        headers = {}
        while (h := f.readline().decode().strip()):
            name, _, value = h.partition(":")
            headers[name.lower()] = value.strip()
        self.heads.append((method, path, headers))
        length = int(headers.get("content-length", 0))
        if method == "POST":
            call = json.loads(f.read(length))
            f.write(self.rpc(call))
            f.flush()
            return True
        f.write(b"HTTP/1.1 200 OK\r\n\r\n")
        f.flush()
        if method == "PUT":
            self.uploads.append(f.read(length))
        elif method == "GET":
            f.write(b"exported bytes")
        else:
            f.write(self.console)
            f.flush()
            while (data := conn.recv(4096)):
                conn.sendall(data.upper())
                if b"bye" in data:
                    break
        f.flush()
        return False

    def rpc(self, call):
        method, params = call["method"], call["params"]
        self.calls.append((method, params))
        answer = self.answers.get(method)
        if answer is None:
            answer = {"session.login_with_password": SESSION, "task.create": TASK, "task.get_record": self.task,
                      "event.from": {"events": [], "token": "1"}, "VM.get_all_records": {VM_REF: record()},
                      "VM.get_record": record(), "VM.get_by_uuid": VM_REF, "VM.get_by_name_label": [VM_REF],
                      "console.get_record": {"uuid": CONSOLE, "protocol": "vt100"}, "VDI.get_by_uuid": VDI_REF,
                      "VDI.create": VDI_REF, "VM.create": VM_REF, "VBD.create": "OpaqueRef:vbd",
                      "VIF.create": "OpaqueRef:vif", "PIF.get_all_records": {},
                      "network.get_all_records": {"OpaqueRef:net": {"uuid": "n"}},
                      "pool.get_all_records": {POOL_REF: {"default_SR": SR_REF, "master": "OpaqueRef:h"}},
                      "SR.get_record": {"uuid": "s"}}.get(method, "")
        body = {"jsonrpc": "2.0", "id": call["id"]}
        if isinstance(answer, Exception):
            code, *more = answer.args
            body["error"] = {"code": 1, "message": code, "data": more}
        else:
            body["result"] = answer
        text = json.dumps(body).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text

    def methods(self):
        return [m for m, _ in self.calls]


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="cli")
        self.addCleanup(shutil.rmtree, self.dir)
        self.socket = self.dir + "/sock"
        self.server = Server(self.socket)
        self.addCleanup(self.server.close)
        self.env = {"HOME": self.dir, "PATH": os.environ["PATH"], "SERAI_SOCKET": self.socket}
        if "ASAN_OPTIONS" in os.environ:
            self.env["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"]

    def run_cli(self, *args, stdin=None, **env):
        with subprocess.Popen([PROGRAM, *args], stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**self.env, **env},
                              start_new_session=True) as p:
            try:
                out, err = p.communicate(stdin, timeout=60)
            except subprocess.TimeoutExpired:
                where = self.where(p.pid)
                p.kill()
                self.fail("%s does not end: %s\n%s" % (args, p.communicate(), where))
        return subprocess.CompletedProcess(args, p.returncode, out, err)

    def where(self, pid):
        """What a program that hangs waits for, and what its servers have seen."""
        text = ["%s: %s, %s" % (s, s.methods(), [h[:2] for h in s.heads])
                for s in (self.server, getattr(self, "tls", None)) if s]
        try:
            for path in pathlib.Path("/proc/%d/task" % pid).glob("*/*"):
                if path.name in ("wchan", "syscall"):
                    text.append("%s: %s" % (path, path.read_text("ascii").strip()))
        except OSError as e:  # it has ended after all, or we may not look
            text.append(str(e))
        text += ["".join(traceback.format_stack(frame)) for frame in sys._current_frames().values()]
        return "\n".join(text)

    def ok(self, *args, **kw):
        p = self.run_cli(*args, **kw)
        self.assertEqual((p.returncode, p.stderr), (0, b""))
        return p.stdout.decode()

    def fails(self, *args, **kw):
        p = self.run_cli(*args, **kw)
        self.assertEqual((p.returncode, p.stdout), (1, b""))
        return p.stderr.decode()


class Local(Case):
    def test_list_logs_in_and_out(self):
        self.assertEqual(self.ok("vm-list", "--minimal"), VM_UUID + "\n")
        self.assertEqual(self.server.methods(), ["session.login_with_password", "VM.get_all_records", "session.logout"])
        self.assertEqual(self.server.calls[1][1], [SESSION])

    def test_json(self):
        self.assertEqual(json.loads(self.ok("--json", "vm-list", "params=name-label,is-a-template")),
                         [{"name-label": "web", "is-a-template": False}])

    def test_help_and_version_need_no_server(self):
        self.assertIn("vm-start", self.ok("help"))
        self.assertRegex(self.ok("-version"), r"^serai \d")
        self.assertEqual(self.server.calls, [])

    def test_error_of_the_api(self):
        self.server.answers["VM.pause"] = RuntimeError("VM_BAD_POWER_STATE", VM_REF, "Running", "Paused")
        text = self.fails("vm-pause", "vm=web")
        self.assertIn("vm: %s (web)\n" % VM_UUID, text)
        self.assertIn("Error code: VM_BAD_POWER_STATE\nError parameters: %s, Running, Paused\n" % VM_REF, text)
        self.assertEqual(self.server.methods()[-1], "session.logout")

    def test_usage_errors(self):
        self.assertEqual(self.fails("nonsense"), "Unknown command: nonsense\nFor usage run: 'xe help'\n")
        self.assertEqual(self.fails("--nonsense"), "Unknown option: --nonsense\nFor usage run: 'xe help'\n")
        self.assertEqual(self.fails("vm-param-get", "uuid=x"),
                         "Required parameter not found: param-name\nFor usage run: 'xe help'\n")

    def test_no_daemon(self):
        self.assertIn("cannot connect", self.fails("vm-list", SERAI_SOCKET=self.dir + "/none"))

    def test_completion(self):
        self.assertEqual(self.ok("__complete", "vm-start", "vm=w"), "vm=web\n")
        self.assertIn("vm-start\n", self.ok("__complete", "vm-st"))
        self.assertEqual(self.run_cli("__complete", "-s", "nowhere.invalid", "vm-start", "vm=").stdout, b"")

    def test_confirmation_needs_a_terminal(self):
        p = self.run_cli("vm-uninstall", "vm=web")
        self.assertEqual(p.returncode, 1)
        self.assertIn(b"--force is needed", p.stderr)
        self.assertNotIn("VM.destroy", self.server.methods())
        self.ok("vm-uninstall", "vm=web", "--force")
        self.assertIn("VM.destroy", self.server.methods())

    def test_full_output(self):
        with open("/dev/full", "wb") as full:
            p = subprocess.run([PROGRAM, "vm-list"], stdout=full, stderr=subprocess.PIPE, env=self.env, timeout=60,
                               check=False)
        self.assertEqual((p.returncode, p.stderr), (1, b"Error: the output could not be written\n"))


class Transfers(Case):
    def write(self, name, data):
        path = self.dir + "/" + name
        with open(path, "wb") as f:
            f.write(data)
        return path

    def test_upload(self):
        data = os.urandom(3 << 20)
        self.ok("vdi-import", "uuid=x", "filename=" + self.write("disk", data))
        self.assertEqual(self.server.uploads, [data])
        method, path, headers = [h for h in self.server.heads if h[0] == "PUT"][0]
        self.assertEqual(path, "/import_raw_vdi?vdi=%s&format=raw&task_id=%s" % (VDI_REF, TASK))
        self.assertEqual(headers["cookie"], "session_id=" + SESSION)
        self.assertEqual(self.server.methods()[-2:], ["task.destroy", "session.logout"])

    def test_refused_upload_says_why(self):
        self.server.task = {"status": "failure", "result": "", "error_info": ["VDI_IO_ERROR", "no room"]}
        text = self.fails("vdi-import", "uuid=x", "filename=" + self.write("disk", b"data"))
        self.assertIn("Error code: VDI_IO_ERROR\nError parameters: no room\n", text)

    def test_missing_file(self):
        path = self.dir + "/none"
        self.assertEqual(self.fails("vdi-import", "uuid=x", "filename=" + path),
                         "Error: %s: No such file or directory\n" % path)

    def test_template_import(self):
        path = self.write("disk", b"x" * 100)
        self.assertEqual(self.ok("template-import", path, "name-label=new"), VM_UUID + "\n")
        calls = dict(self.server.calls)
        self.assertEqual(calls["VDI.create"][1]["virtual_size"], 2 << 20)
        self.assertTrue(calls["VM.create"][1]["is_a_template"])
        self.assertEqual(self.server.uploads, [b"x" * 100])

    def test_download(self):
        path = self.dir + "/out"
        self.ok("vdi-export", "uuid=x", "filename=" + path)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"exported bytes")
        self.assertIn("File exists", self.fails("vdi-export", "uuid=x", "filename=" + path))
        self.assertEqual(self.ok("vdi-export", "uuid=x", "filename="), "exported bytes")

    def test_failed_download_leaves_nothing(self):
        self.server.task = {"status": "failure", "result": "", "error_info": ["VDI_IO_ERROR", "gone"]}
        self.assertIn("VDI_IO_ERROR", self.fails("vdi-export", "uuid=x", "filename=" + self.dir + "/out"))
        self.assertFalse(os.path.exists(self.dir + "/out"))


class Console(Case):
    def test_pipe(self):
        p = self.run_cli("vm-console", "vm=web", stdin=b"hello bye\n")
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, b"login: HELLO BYE\n", b""))
        self.assertIn(("CONNECT", "/console?uuid=" + CONSOLE), [h[:2] for h in self.server.heads])

    def test_escape_ends_a_pipe(self):
        p = self.run_cli("console", "vm=web", stdin=b"\x1d")
        self.assertEqual(p.returncode, 0)

    def terminal(self, *args):
        """The program on a terminal of its own: its pid, and functions to wait for text and to type."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(PROGRAM, [PROGRAM, *args], self.env)
        self.addCleanup(os.close, fd)
        seen = b""

        def until(text):
            nonlocal seen
            while text not in seen:
                self.assertTrue(select.select([fd], [], [], 60)[0], seen)
                seen += os.read(fd, 4096)

        return pid, until, lambda text: os.write(fd, text)

    def test_terminal(self):
        pid, until, write = self.terminal("vm-console", "vm=web")
        until(b"login: ")
        write(b"\x03ls")  # Ctrl-C belongs to the guest
        until(b"\x03LS")
        write(b"\x1d")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_question(self):
        pid, until, write = self.terminal("vm-uninstall", "vm=web")
        until(b"Type 'yes' to continue")
        write(b"\x03")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1)
        self.assertNotIn("VM.destroy", self.server.methods())
        pid, until, write = self.terminal("vm-uninstall", "vm=web")
        until(b"Type 'yes' to continue")
        write(b"yes\r")
        until(b"All objects destroyed")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertIn("VM.destroy", self.server.methods())


class Remote(Case):
    def setUp(self):
        super().setUp()
        del self.env["SERAI_SOCKET"]
        self.tls = Server(tls=self.certificate("a"))
        self.addCleanup(self.tls.close)

    def certificate(self, name):
        path = self.dir + "/" + name
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", path, "-out", path + ".crt", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path + ".crt", path)
        return context

    def options(self, host="127.0.0.1"):
        return ["-s", host, "-p", str(self.tls.port), "-u", "root", "-pw", "secret"]

    def test_own_listener_needs_no_pin(self):
        self.assertEqual(self.ok(*self.options(), "vm-list", "--minimal"), VM_UUID + "\n")
        self.assertEqual(self.tls.calls[0][1][:2], ["root", "secret"])
        self.assertFalse(os.path.exists(self.dir + "/.config"))

    def test_first_certificate_is_kept(self):
        # 0.0.0.0 reaches this machine too, but is not a loopback address.
        p = self.run_cli(*self.options("0.0.0.0"), "vm-list", "--minimal")
        self.assertEqual(p.returncode, 0)
        self.assertRegex(p.stderr.decode(), r"^First connection to 0\.0\.0\.0:\d+: its certificate ([0-9A-F]{2}:){31}")
        self.assertEqual(self.ok(*self.options("0.0.0.0"), "vm-list", "--minimal"), VM_UUID + "\n")
        calls = len(self.tls.calls)
        self.tls.tls = self.certificate("b")
        text = self.fails(*self.options("0.0.0.0"), "vm-list")
        self.assertIn("is not the one that was seen before", text)
        self.assertEqual(len(self.tls.calls), calls)  # no password went there
        self.assertEqual(self.ok("--insecure", *self.options("0.0.0.0"), "vm-list", "--minimal"), VM_UUID + "\n")

    def test_cafile(self):
        good = ["--cafile", self.dir + "/a.crt"]
        self.assertEqual(self.ok(*good, *self.options("localhost"), "vm-list", "--minimal"), VM_UUID + "\n")
        self.certificate("b")
        self.assertIn("not trusted", self.fails("--cafile", self.dir + "/b.crt", *self.options(), "vm-list"))

    def test_where_the_words_come_from(self):
        extra = "server=127.0.0.1,port=%d,username=me,password=there" % self.tls.port
        self.ok("vm-list", XE_EXTRA_ARGS=extra)
        self.assertEqual(self.tls.calls[0][1][:2], ["me", "there"])
        with open(self.dir + "/.xe", "w", encoding="ascii") as f:
            f.write("hostname=127.0.0.1\nport=%d\nusername=file\npassword=pw\n" % self.tls.port)
        self.tls.calls.clear()
        self.ok("vm-list")
        self.assertEqual(self.tls.calls[0][1][:2], ["file", "pw"])

    def test_wrong_password(self):
        self.tls.answers["session.login_with_password"] = RuntimeError("SESSION_AUTHENTICATION_FAILED", "root", "no")
        self.assertEqual(self.fails(*self.options(), "vm-list"), "Authentication failed\nFor usage run: 'xe help'\n")

    def test_no_password_and_nobody_to_ask(self):
        text = self.fails("-s", "127.0.0.1", "-p", str(self.tls.port), "-u", "root", "vm-list")
        self.assertIn("Required parameter not found: password", text)

    def test_clear_text_stays_here(self):
        self.assertIn("--nossl is for this machine only", self.fails("--nossl", *self.options("0.0.0.0"), "vm-list"))
        plain = Server()
        self.addCleanup(plain.close)
        self.ok("--nossl", "-s", "127.0.0.1", "-p", str(plain.port), "-u", "a", "-pw", "b", "vm-list")

    def test_console_over_tls(self):
        p = self.run_cli(*self.options(), "vm-console", "vm=web", stdin=b"x bye")
        self.assertEqual((p.returncode, p.stdout), (0, b"login: X BYE"))


class Programs(Case):
    def test_image_build_usage(self):
        self.assertRegex(self.fails("image-build", "nonsense"), "^Usage: serai image-build debian12.tiny")

    def test_link_named_xe(self):
        link = os.path.dirname(PROGRAM) + "/xe"
        if os.path.islink(link):
            self.assertEqual(os.path.realpath(link), os.path.realpath(PROGRAM))


if __name__ == "__main__":
    unittest.main(verbosity=0)
