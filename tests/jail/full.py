# SPDX-License-Identifier: Apache-2.0
"""seraid in full mode, as a user of its own, beside a rootd of its own: tests/vm/guests.py takes its daemon from here where
SERAI_MODE=full. Machines are in jails."""
import atexit
import os
import signal

import netns  # noqa: F401  its bridges are nobody else's
from rootd import Rootd

USER = 12345


def program(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="ascii") as f:
            return f.read().strip()
    except OSError:
        return ""


def daemon_class(base):
    class FullDaemon(base):
        """mounts: (file, place) pairs that both processes see instead of the system's."""

        def __init__(self, directory, kernels, *options, mounts=(), **how):
            os.chmod(directory, 0o711)
            super().__init__(directory, kernels, *options, **how)
            if mounts:
                binds = " && ".join("mount --bind %s %s" % pair for pair in mounts)
                self.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", binds + ' && exec "$@"', "sh"]
            self.rootd = Rootd(user=USER, prefix=tuple(self.prefix))
            atexit.register(self.close)  # of a daemon that no fixture has

        def command(self):
            words = super().command()
            words.remove("--rootless")
            return [*self.prefix, *words, "--user", str(USER), "--rootd", self.rootd.socket]

        def start(self):
            self.give(self.dir / "password")
            return super().start()

        def fill(self, folder):
            super().fill(folder)
            self.give(self.state, folder, *folder.iterdir())

        def give(self, *paths):
            for path in paths:
                if path.exists():
                    os.chown(path, USER, USER)

        def machines(self):
            return {pid: uuid for uuid, pids in self.groups().items() for pid in pids if program(pid) != "swtpm"}

        def groups(self):
            """{VM uuid: [pids]} of the machines' cgroups."""
            return {name: pids for name, pids in self.all_groups().items() if not name.startswith("net-")}

        def services(self):
            """{network uuid: [pids]} of what gives addresses."""
            return {name[4:]: pids for name, pids in self.all_groups().items() if name.startswith("net-")}

        def all_groups(self):
            found = {}
            for parent in self.rootd.cgroups()[:1]:
                for group in parent.iterdir():
                    try:
                        found[group.name] = [int(p) for p in (group / "cgroup.procs").read_text().split()]
                    except (FileNotFoundError, NotADirectoryError, OSError):
                        pass  # a file, or gone
            return found

        def restart_rootd(self, sig=signal.SIGKILL):
            self.rootd.stop(sig)
            self.rootd.start()

        def end_machines(self):
            for uuid in self.groups():
                self.rootd.ask("end_vm", ("uuid", uuid))
            for uuid in self.services():
                self.rootd.ask("service_end", ("uuid", uuid))
            self.end_processes(self.disk_processes())

        def close(self):
            if self.rootd:
                self.rootd.close()
                self.rootd = None

    return FullDaemon
