# SPDX-License-Identifier: Apache-2.0
"""serai against a real seraid without privilege: live_test.py SERAI SERAID. From a disk image to a running machine and
back to nothing, with the commands that a person would type."""
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

SERAI, SERAID = (os.path.abspath(p) for p in sys.argv[1:3])
del sys.argv[1:3]
DISK_SIZE = (5 << 20) + 512  # no multiple of what disks are made of


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="live")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        with open(cls.dir + "/password", "w", encoding="ascii") as f:
            f.write("secret\n")
        cls.log = open(cls.dir + "/log", "wb")
        cls.addClassCleanup(cls.log.close)
        cls.daemon = subprocess.Popen(
            [SERAID, "--rootless", "--state", cls.dir + "/state", "--runtime", cls.dir + "/run",
             "--https", "127.0.0.1:0", "--password-file", cls.dir + "/password"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=cls.log)
        cls.addClassCleanup(cls.end)
        if not select.select([cls.daemon.stdout], [], [], 30)[0] or b"ready" not in (line := cls.daemon.stdout.readline()):
            with open(cls.dir + "/log", encoding="utf-8") as f:
                raise RuntimeError("seraid did not start: " + f.read())
        cls.port = line.split(b"https://")[1].split()[0].rsplit(b":", 1)[1].decode()
        cls.env = {"HOME": cls.dir, "PATH": os.environ["PATH"], "SERAI_SOCKET": cls.dir + "/run/seraid.sock"}

    @classmethod
    def end(cls):
        cls.daemon.send_signal(signal.SIGTERM)
        try:
            cls.daemon.wait(20)
        except subprocess.TimeoutExpired:
            cls.daemon.kill()
        cls.daemon.stdout.close()

    def run_cli(self, *args, **kw):
        return subprocess.run([SERAI, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, check=False, env=self.env, **kw)

    def ok(self, *args):
        p = self.run_cli(*args)
        self.assertEqual((p.returncode, p.stderr), (0, ""), args)
        return p.stdout.rstrip("\n")

    def test_every_kind_lists(self):
        not_yet = []
        for kind in self.ok("help").split("Kinds: ")[1].split("\n")[0].split():
            p = self.run_cli(kind + "-list", "params=all")
            if p.returncode:
                not_yet.append(kind)
                self.assertRegex(p.stderr, "not served|NOT_IMPLEMENTED", kind)
        self.assertLessEqual(len(not_yet), 5, not_yet)

    def test_reports(self):
        vm = self.ok("vm-install", "template=Other install media", "new-name-label=report1")
        self.assertIn("report1", self.ok("diagnostic-vm-status", "uuid=" + vm))
        self.assertEqual(self.ok("vm-crashdump-list", "uuid=" + vm), "")
        self.assertIn("BIOS", self.ok("vm-is-bios-customized", "uuid=" + vm))
        self.ok("host-get-cpu-features")
        self.ok("pool-get-cpu-features")
        p = self.run_cli("vm-recover", "uuid=" + vm)
        self.assertIn("LICENCE_RESTRICTION", p.stderr)
        bundle = self.dir + "/bundle.tar"
        self.ok("host-get-system-status", "filename=" + bundle, "output=tar")
        with tarfile.open(bundle) as t:
            self.assertTrue(t.getnames())

    def test_completion_knows_what_is_there(self):
        vm = self.ok("vm-install", "template=Other install media", "new-name-label=complete me")
        complete = lambda *words: self.ok("__complete", *words).split("\n")
        self.assertEqual(complete("vm-start", "vm=comp"), ["vm=complete me"])
        self.assertIn("uuid=" + vm, complete("vm-param-get", "uuid="))
        self.assertIn("sr-uuid=" + self.ok("sr-list", "--minimal").split(",")[0], complete("vdi-create", "sr-uuid="))
        self.assertEqual(complete("vm-start", "power-state="), ["power-state=halted"])

    def test_messages_by_their_time(self):
        vm = self.ok("vm-install", "template=Other install media", "new-name-label=told1")
        for name in ("EARLY", "LATE"):
            self.ok("message-create", "name=" + name, "body=x", "priority=4", "vm-uuid=" + vm)
        self.assertEqual(len(self.ok("message-list", "priority=4", "--minimal").split(",")), 2)
        self.ok("message-destroy-all", "priority=4", "before=20200101T00:00:00Z")
        self.assertEqual(len(self.ok("message-list", "priority=4", "--minimal").split(",")), 2)
        self.ok("message-destroy-all", "priority=4")
        self.assertEqual(self.ok("message-list", "priority=4", "--minimal"), "")

    def test_remote_with_a_password(self):
        remote = ["-s", "127.0.0.1", "-p", self.port, "-u", "root"]
        self.assertEqual(self.ok(*remote, "-pwf", self.dir + "/password", "host-list", "--minimal"),
                         self.ok("host-list", "--minimal"))
        p = self.run_cli(*remote, "-pw", "wrong", "host-list")
        self.assertEqual((p.returncode, p.stderr), (1, "Authentication failed\nFor usage run: 'xe help'\n"))

    def test_fields(self):
        pool = self.ok("pool-list", "--minimal")
        self.ok("pool-param-set", "uuid=" + pool, "name-label=my pool", "other-config:a=b, c")
        self.ok("pool-param-add", "uuid=" + pool, "param-name=tags", "param-key=t")
        self.ok("pool-param-add", "uuid=" + pool, "param-name=other-config", "d=e")
        self.assertEqual(self.ok("pool-param-get", "uuid=" + pool, "param-name=other-config", "param-key=a"), "b, c")
        self.assertEqual(self.ok("pool-list", "name-label=my pool", "tags:contains=t", "other-config:d=e", "--minimal"), pool)
        p = self.run_cli("pool-param-add", "uuid=" + pool, "param-name=other-config", "d=f")
        self.assertIn("Error code: MAP_DUPLICATE_KEY", p.stderr)
        self.ok("pool-param-clear", "uuid=" + pool, "param-name=tags")
        self.ok("pool-param-remove", "uuid=" + pool, "param-name=other-config", "param-key=d")
        got = json.loads(self.ok("--json", "pool-list", "params=tags,other-config"))[0]
        self.assertEqual((got["tags"], "d" in got["other-config"]), ([], False))

    def test_the_past(self):
        vm = self.ok("vm-install", "template=Other install media", "new-name-label=past1")
        self.ok("vm-param-set", "uuid=" + vm, "name-description=first")
        change, moment = self.ok("history", "vm=past1", "limit=1").split()[:2]
        self.ok("vm-param-set", "uuid=" + vm, "name-description=second", "other-config:k=v")
        self.assertIn("name-description: first -> second", self.ok("history", "vm=" + vm))
        moment = json.loads(self.ok("--json", "history", "vm=past1", "limit=1000"))
        moment = next(e["time"] for e in moment if str(e["change"]) == change)
        at = ["--at", moment]
        self.assertEqual(self.ok("vm-param-get", "uuid=" + vm, "param-name=name-description", *at), "first")
        self.assertEqual(self.ok("vm-list", "name-label=past1", "params=name-description", "--minimal", *at), "first")
        self.assertIn("name-label ( RW): past1", self.ok("vm-param-list", "uuid=" + vm, *at))
        self.assertEqual(self.ok("vm-list", "name-label=past1", "--minimal", "--at", "2 hours ago"), "")
        self.assertIn("name-description: first -> second", self.ok("diff", "vm=past1", moment))
        self.assertIn(vm, self.ok("diff", "2 hours ago", "now"))
        blamed = self.ok("blame", "vm=past1", "name-description")
        self.assertRegex(blamed, r"^[0-9]+  \S+Z  root  VM.set_name_description  name-description: second$")
        self.assertIn("user-version", self.ok("blame", "vm=past1"))
        self.assertEqual(self.ok("undo", "vm=past1", "name-description"), "VM.set_name_description")
        self.assertEqual(self.ok("vm-param-get", "uuid=" + vm, "param-name=name-description"), "first")
        p = self.run_cli("undo", change)
        self.assertEqual((p.returncode, self.ok("vm-param-get", "uuid=" + vm, "param-name=name-description")),
                         (0, "Starting values for any system, without a disk"), p.stderr)
        for command in (["vm-start", "uuid=" + vm], ["vm-data-source-list", "uuid=" + vm], ["history"]):
            self.assertIn("--at goes with", self.run_cli(*command, *at).stderr)
        for command in (["vm-disk-list", "uuid=" + vm], ["vm-cd-list", "uuid=" + vm], ["vm-vif-list", "vm=past1"], ["cd-list"],
                        ["vm-crashdump-list", "uuid=" + vm], ["host-cpu-info"], ["host-license-view"],
                        ["diagnostic-vm-status", "uuid=" + vm]):
            self.ok(*command, *at)
        sr = self.ok("sr-list", "content-type=user", "--minimal").split(",")[0]
        vdi = self.ok("vdi-create", "sr-uuid=" + sr, "name-label=of-past1", "virtual-size=8MiB", "type=user")
        self.ok("vbd-create", "vm-uuid=" + vm, "vdi-uuid=" + vdi, "device=0")
        self.assertIn("of-past1", self.ok("vm-disk-list", "uuid=" + vm))
        self.assertEqual(self.ok("vm-disk-list", "uuid=" + vm, *at), "")
        self.assertIn(vm, self.ok("diagnostic-vdi-status", "uuid=" + vdi, "--at", "now"))
        self.assertIn("no moment", self.run_cli("history", "since=soon").stderr)
        self.assertIn("Unknown parameter: unicorn", self.run_cli("history", "unicorn=x").stderr)
        self.ok("vm-uninstall", "uuid=" + vm, "--force")
        self.assertIn("destroy VM %s (past1)" % vm, self.ok("history", "vm=past1", "limit=1"))
        p = self.run_cli("vm-start", "uuid=" + vm)
        self.assertEqual(p.returncode, 1)

    def test_errors_name_the_command_that_helps(self):
        vm = self.ok("vm-install", "template=Other install media", "new-name-label=errs")
        p = self.run_cli("vm-unpause", "vm=errs")
        self.assertIn("Try: serai vm-param-get uuid=%s param-name=power-state\n" % vm, p.stderr)
        self.ok("vm-uninstall", "uuid=" + vm, "--force")

    def test_the_audit_log(self):
        pool = self.ok("pool-list", "--minimal")
        self.ok("pool-param-set", "uuid=" + pool, "name-description=audited")
        self.assertIn("The audit log is whole.", self.ok("audit-verify"))
        log, text = self.dir + "/audit.log", self.dir + "/copy"
        self.ok("audit-log-get", "filename=" + log, "since=an hour ago")
        with open(log, encoding="utf-8") as f:
            self.assertIn("'pool.set_name_description'", f.read())
        shutil.copytree(self.dir + "/state/audit", text)
        self.assertIn("whole", self.ok("audit-verify", text))
        with open(text + "/audit-000001.log", "r+b") as f:
            data = f.read()
            f.seek(data.index(b"audited"))
            f.write(b"hidden!")
        p = self.run_cli("audit-verify", "filename=" + text)
        self.assertEqual(p.returncode, 1)
        self.assertIn("NOT WHOLE", p.stdout)

    def test_images_and_exports(self):
        disk, back = self.dir + "/in.raw", self.dir + "/out.raw"
        data = os.urandom(DISK_SIZE)
        with open(disk, "wb") as f:
            f.write(data)
        image = self.dir + "/disk.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, image], check=True)
        vdi = self.ok("image-import", image, "name-label=a disk & more")
        self.assertEqual(self.ok("vdi-param-get", "uuid=" + vdi, "param-name=name-label"), "a disk & more")
        self.ok("vdi-export", "uuid=" + vdi, "filename=" + back)
        with open(back, "rb") as f:
            self.assertEqual(f.read()[:DISK_SIZE], data)
        self.ok("vdi-export", "uuid=" + vdi, "filename=" + back + ".vhd", "format=vhd")
        subprocess.run(["vhdiinfo", back + ".vhd"], check=True, stdout=subprocess.DEVNULL)
        self.ok("vdi-destroy", "uuid=" + vdi)
        self.assertIn("format=", self.run_cli("image-import", back + ".unknown").stderr)
        template = self.ok("image-import", disk, "name-label=whole", "template=true", "memory=64MiB")
        vm = self.ok("vm-install", "template=whole", "new-name-label=out")
        for compress in ("", "zstd"):
            xva = self.dir + "/vm.xva" + compress
            self.ok("vm-export", "vm=" + vm, "filename=" + xva, *(["compress=" + compress] if compress else []))
            again = self.ok("vm-import", "filename=" + xva)
            self.assertNotEqual(again, vm)
            vdi = self.ok("vm-disk-list", "uuid=" + again, "vbd-params=", "--minimal")
            os.unlink(back)
            self.ok("vdi-export", "uuid=" + vdi, "filename=" + back)
            with open(back, "rb") as f:
                self.assertEqual(f.read()[:DISK_SIZE], data)
            self.ok("vm-uninstall", "uuid=" + again, "--force")
        snapshot = self.ok("vm-snapshot", "uuid=" + vm, "new-name-label=then")
        self.ok("snapshot-export-to-template", "snapshot-uuid=" + snapshot, "filename=" + self.dir + "/snap.xva")
        self.ok("template-export", "template-uuid=" + template, "filename=" + self.dir + "/template.xva")
        imported = self.ok("vm-import", "filename=" + self.dir + "/template.xva")
        for uuid in (imported, template):
            self.ok("template-uninstall", "template-uuid=" + uuid, "--force")
        self.ok("snapshot-uninstall", "snapshot-uuid=" + snapshot, "--force")
        self.ok("vm-uninstall", "uuid=" + vm, "--force")
        self.assertEqual(self.ok("vdi-list", "--minimal"), "")
        self.assertEqual(self.ok("task-list", "--minimal"), "")

    def test_a_machine_from_its_image_to_its_end(self):
        disk, back = self.dir + "/disk", self.dir + "/back"
        with open(disk, "wb") as f:
            f.write(os.urandom(DISK_SIZE))
        template = self.ok("template-import", disk, "name-label=mine", "memory=64MiB", "vcpus=1")
        self.assertEqual(self.ok("template-list", "name-label=mine", "--minimal"), template)
        vdi = self.ok("vm-disk-list", "uuid=" + template, "vbd-params=", "--minimal")
        self.ok("vdi-export", "uuid=" + vdi, "filename=" + back)
        with open(disk, "rb") as a, open(back, "rb") as b:
            data = b.read()
            self.assertEqual(data[:DISK_SIZE], a.read())
            self.assertEqual(data[DISK_SIZE:].strip(b"\0"), b"")
        vm = self.ok("vm-install", "template=mine", "new-name-label=vm1")
        self.assertIn("expected: ", self.run_cli("vm-pause", "vm=vm1").stderr)
        self.ok("vm-start", "vm=vm1", "paused=true")
        self.assertEqual(self.ok("vm-param-get", "uuid=" + vm, "param-name=power-state"), "paused")
        self.ok("vm-unpause", "vm=vm1")
        self.ok("event-wait", "class=vm", "uuid=" + vm, "power-state=running")
        self.ok("vm-shutdown", "vm=vm1", "--force")
        self.ok("vm-uninstall", "uuid=" + vm, "--force")
        self.ok("template-uninstall", "template-uuid=" + template, "--force")
        self.assertEqual(self.ok("vdi-list", "--minimal"), "")
        self.assertEqual(self.ok("task-list", "--minimal"), "")


if __name__ == "__main__":
    unittest.main(verbosity=0)
