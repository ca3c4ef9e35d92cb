# SPDX-License-Identifier: Apache-2.0
"""The guests are built and boot under TCG: the null payload, the tiny Linux and Debian."""
import json
import os
import re
import socket
import stat
import struct
import subprocess
import zlib

import pytest
from guest_builds import GUEST, build
from guest_machine import Machine

MIB = 1 << 20


def pattern_crc(number):
    words = [(number * 2654435761 + i) & 0xFFFFFFFF for i in range(MIB // 4)]
    return "%08x" % zlib.crc32(struct.pack("<%dI" % len(words), *words))


def boot_tiny(tiny, tmp_path, options="", *args, **kwargs):
    with open(tiny + "/cmdline", encoding="ascii") as f:
        cmdline = (f.read().strip() + " " + options).strip()
    return Machine(str(tmp_path), "-kernel", tiny + "/vmlinuz", "-initrd", tiny + "/initrd", "-append", cmdline, *args,
                   memory="128M", smp=1, **kwargs)


def test_null_writes_from_its_first_instruction(null, tmp_path):
    with Machine(str(tmp_path), "-kernel", null, memory="16M", smp=1) as m:
        m.expect(r"^N\n", 60)
        assert m.qmp("query-status")["status"] == "running"
        m.qmp("quit")
        assert m.wait_exit(10) == 0


def test_tiny_comes_up_counts_and_obeys_the_power_button(tiny, tmp_path):
    with boot_tiny(tiny, tmp_path) as m:
        m.expect(r"^SERAI_TINY_UP\r$", 60)
        first = int(m.expect(r"^TICK (\d+)\r$", 60).group(1))
        second = int(m.expect(r"^TICK (\d+)\r$", 60).group(1))
        assert second > first
        m.qmp("system_powerdown")
        pressed = m.elapsed()
        assert m.wait_exit(10) == 0
        assert m.elapsed() - pressed < 5
        assert b"\nBUTTON\r" in m.output
        assert b"ERROR" not in m.output


def test_tiny_obeys_lines(tiny, tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as f:
        f.truncate(8 * MIB)
    with boot_tiny(tiny, tmp_path, "tick=0 net=1",
                   "-drive", "file=%s,format=raw,if=none,id=d" % disk, "-device", "virtio-blk-pci,drive=d",
                   "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile=") as m:
        m.expect(r"^SERAI_TINY_UP\r$", 60)
        m.expect(r"^NET 10\.0\.2\.\d+\r$", 60)
        for line, answer in (("echo so be it", "ECHO so be it"),
                             ("sum", "SUM %08x" % zlib.crc32(bytes(MIB))),
                             ("write 7", "WROTE 7"), ("sum", "SUM " + pattern_crc(7)),
                             ("sum vdz", "ERROR /dev/vdz: No such file or directory"),
                             ("sh echo $((6 * 7)); exit 3", "42"), ("", "SH 3"), ("nonsense", "UNKNOWN nonsense")):
            m.send(line + "\n")
            m.expect("^%s\r$" % re.escape(answer), 60)
        assert b"TICK" not in m.output
        m.send("count\n")
        assert int(m.expect(r"^COUNT (\d+)\r$", 60).group(1)) > 0
        m.send("reboot\n")
        m.expect(r"^SERAI_TINY_UP\r$", 60)
        m.send("off\n")
        assert m.wait_exit(10) == 0
    with open(disk, "rb") as f:
        assert "%08x" % zlib.crc32(f.read(MIB)) == pattern_crc(7)


def test_tiny_panic_is_seen_outside(tiny, tmp_path):
    with boot_tiny(tiny, tmp_path, "tick=0", "-device", "pvpanic-pci", "-action", "panic=pause") as m:
        m.expect(r"^SERAI_TINY_UP\r$", 60)
        m.qmp("query-status")  # events are sent from here on
        m.send("panic\n")
        m.expect(r"Kernel panic", 60)
        m.qmp_event("GUEST_PANICKED", 20)


def test_a_second_build_does_nothing(tiny):
    before = os.stat(tiny + "/initrd").st_mtime_ns
    assert build("build-tiny") == tiny
    assert os.stat(tiny + "/initrd").st_mtime_ns == before


@pytest.mark.parametrize("program,args,message", [
    ("build-debian", ["--size", "12"], "is not a size"),
    ("build-debian", ["--hostname", "a b"], "is not a host name"),
    ("build-debian", ["--root-password-file", "/nonexistent/pw"], "/nonexistent/pw cannot be read"),
    ("build-debian", ["--root-password-file", "/dev/null"], "does not hold one line"),
    ("build-debian", ["--cache", "/proc/1/x"], "/proc/1/x"),
    ("build-tiny", ["--cache", "/proc/1/x"], "/proc/1/x"),
])
def test_an_error_is_one_sentence(program, args, message, tmp_path):
    p = subprocess.run([GUEST + "/" + program, "--cache", str(tmp_path)] + args, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert p.returncode != 0 and message in p.stderr and "Traceback" not in p.stderr
    assert p.stderr.strip().split("\n")[-1].startswith(program + ": ")


CONFIG = """\
#cloud-config
hostname: web1
password: "a: b#c"
chpasswd: {expire: false}
ssh_authorized_keys:
  - ssh-ed25519 AAAA one@test # a comment
- ssh-ed25519 BBBB two@test
runcmd:
  - [a, b]
"""
CONFIG_USERS = """\
#cloud-config\r
fqdn: 'web2.test'\r
ssh_authorized_keys: [k1, "k2"]
chpasswd:
  expire: false
  list: |
    root:pw1
    debian:$6$x$y
  users:
  - name: root
    password: zz
    type: text
  - {name: debian, password: q}
"""


@pytest.mark.parametrize("text,want", [
    (CONFIG, [("hostname", "web1"), ("password", "a: b#c"), ("chpasswd.expire", "false"),
              ("ssh_authorized_keys", "ssh-ed25519 AAAA one@test"), ("ssh_authorized_keys", "ssh-ed25519 BBBB two@test"),
              ("runcmd", "a"), ("runcmd", "b")]),
    (CONFIG_USERS, [("fqdn", "web2.test"), ("ssh_authorized_keys", "k1"), ("ssh_authorized_keys", "k2"),
                    ("chpasswd.expire", "false"), ("chpasswd.list", "root:pw1"), ("chpasswd.list", "debian:$6$x$y"),
                    ("chpasswd.users.name", "root"), ("chpasswd.users.password", "zz"), ("chpasswd.users.type", "text"),
                    ("chpasswd.users.name", "debian"), ("chpasswd.users.password", "q")]),
    ("", []),
])
def test_user_data_is_understood(text, want):
    p = subprocess.run(["sh", GUEST + "/debian/root/usr/lib/serai-guest/firstboot", "flatten"], input=text.encode(),
                       stdout=subprocess.PIPE, check=True)
    assert [tuple(line.split("\t")) for line in p.stdout.decode().split("\n") if line] == want


def login(m, user, password):
    m.expect(r"login: $", 240)
    up = m.elapsed()
    m.send(user + "\n")
    m.expect(r"Password: $", 60)
    m.send(password + "\n")
    m.expect(r"[#$] $|[#$] \x1b", 120)
    # A prompt that the echo of a command cannot imitate.
    m.send("stty -echo; PS1=; bind 'set enable-bracketed-paste off'; echo RE''ADY\n")
    m.expect(r"READY\r\n", 60)
    return up


def run(m, command, timeout=120):
    m.send("{ %s; }; echo STATUS $?\n" % command)
    start = m.seen
    match = m.expect(r"^STATUS (\d+)\r\n", timeout)
    text = m.output[start:match.start()].decode().replace("\r\n", "\n")
    assert match.group(1) == b"0", (command, text)
    return text


def agent(sock, command):
    """One question to the guest agent."""
    sock.settimeout(60)
    sock.sendall(b'\xff{"execute":"guest-sync-delimited","arguments":{"id":7}}\n')
    data = b""
    while b'{"return": 7}\n' not in data:
        data += sock.recv(4096)
    sock.sendall(json.dumps({"execute": command}).encode() + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        data += sock.recv(65536)
    return json.loads(data)


def boot_debian(disk, cidata, tmp_path, channel):
    return Machine(
        str(tmp_path), "-drive", "file=%s,format=qcow2,if=none,id=d,cache=unsafe" % disk, "-device", "virtio-blk-pci,drive=d",
        "-drive", "driver=raw,file.driver=vvfat,file.dir=%s,file.label=cidata,if=none,id=c,readonly=on" % cidata,
        "-device", "virtio-blk-pci,drive=c", "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile=",
        "-device", "virtio-serial-pci", "-chardev", "socket,id=ga,fd=%d" % channel.fileno(),
        "-device", "virtserialport,chardev=ga,name=org.qemu.guest_agent.0", pass_fds=[channel.fileno()])


def test_debian_boots_applies_its_settings_and_shuts_down(debian, tmp_path):
    assert stat.S_IMODE(os.stat(debian + ".password").st_mode) == 0o600
    with open(debian + ".password", encoding="ascii") as f:
        password = f.read().strip()
    disk, cidata = tmp_path / "disk.qcow2", tmp_path / "cidata"
    cidata.mkdir()
    (cidata / "meta-data").write_text("instance-id: i-1\nlocal-hostname: from-meta\n")
    (cidata / "user-data").write_text(CONFIG)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", debian, "-F", "raw", disk, "6G"], check=True)

    ours, theirs = socket.socketpair()
    with ours, theirs, boot_debian(disk, cidata, tmp_path, theirs) as m:
        print("first boot: login after %.1f s" % login(m, "root", password))
        assert run(m, "systemctl is-system-running --wait") == "running\n"
        assert run(m, "hostname; cat /etc/hostname").split() == ["web1", "web1"]
        assert run(m, "cat /home/debian/.ssh/authorized_keys").count("ssh-ed25519") == 2
        assert run(m, "stat -c '%U %a' /home/debian/.ssh/authorized_keys") == "debian 600\n"
        assert int(run(m, "df --output=size -BM / | tail -n 1").strip()[:-1]) > 5500
        assert re.search(r"^\w+ +UP +10\.0\.2\.", run(m, "ip -br -4 addr"), re.M)
        assert re.fullmatch(r"[0-9a-f]{32}\n", run(m, "cat /etc/machine-id"))
        run(m, "systemctl is-active ssh systemd-networkd systemd-resolved && ls /etc/ssh/ssh_host_ed25519_key")
        assert "user-data keys left alone: runcmd" in run(m, "journalctl -u serai-firstboot --no-pager -o cat")
        assert agent(ours, "guest-ping") == {"return": {}}
        # The boot menu that the guest's own tools write must work as ours does.
        run(m, "update-grub", 240)
        assert "menuentry" in run(m, "grep -c linux /boot/grub/grub.cfg; grep -o menuentry /boot/grub/grub.cfg")
        run(m, "rm /etc/hostname; echo kept > /etc/hostname")
        m.qmp("system_powerdown")
        assert m.wait_exit(90) == 0

    ours, theirs = socket.socketpair()
    with ours, theirs, boot_debian(disk, cidata, tmp_path, theirs) as m:
        print("second boot: login after %.1f s" % login(m, "debian", "a: b#c"))
        # The settings of one instance-id are applied once.
        assert run(m, "hostname") == "kept\n"
        assert run(m, "sudo -n id -u") == "0\n"
        m.qmp("system_powerdown")
        assert m.wait_exit(90) == 0
