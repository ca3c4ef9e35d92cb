# SPDX-License-Identifier: Apache-2.0
"""Which of a host's package sources the image builders use."""
import guest_builds  # noqa: F401  (makes the next two importable)
import bootdisk
import debrepo
import pytest

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = """\
# the mirror
Types: deb deb-src
URIs: http://mirror.test/debian/
Suites: bookworm
  bookworm-updates
Components: main non-free-firmware
Signed-By: %s

Types: deb
URIs: http://vendor.test/apt
Suites: bookworm
Components: main
Signed-By: /etc/apt/keyrings/vendor.gpg

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
""" % KEY
ONE_LINE = """\
deb [arch=amd64 signed-by=%s] https://user:secret@mirror.test/security bookworm-security main contrib # why not
deb-src http://mirror.test/debian bookworm main
deb http://mirror.test/debian trixie main
deb [arch=arm64] http://arm.test/debian bookworm main
deb http://vendor.test/x bookworm stable
deb cdrom:[Debian] bookworm main
#deb http://comment.test/debian bookworm main
""" % KEY


@pytest.mark.parametrize("name,text,want", [
    ("a.sources", DEB822, [("http://mirror.test/debian", "bookworm", ["main", "non-free-firmware"]),
                           ("http://mirror.test/debian", "bookworm-updates", ["main", "non-free-firmware"])]),
    ("a.list", ONE_LINE, [("https://user:secret@mirror.test/security", "bookworm-security", ["main", "contrib"])]),
    ("a.sources", "", []),
    ("a.list", "deb\n\x00 [ deb [", []),
])
def test_parse(name, text, want):
    assert [(s.uri, s.suite, s.components) for s in debrepo.parse_sources([(name, text)])] == want


def test_entries_of_one_archive_are_joined():
    files = [("a.list", "deb http://m.test/d bookworm main\n"), ("b.list", "deb http://m.test/d/ bookworm main contrib\n")]
    assert [s.line() for s in debrepo.parse_sources(files)] == [
        "deb [signed-by=%s] http://m.test/d bookworm main contrib\n" % KEY]


def test_the_guest_learns_no_password():
    source = debrepo.parse_sources([("a.list", ONE_LINE)])[0]
    assert "secret" in source.line() and "secret" not in source.line(with_user=False)


def test_no_debian_source_is_one_sentence(tmp_path):
    with pytest.raises(debrepo.RepoError, match="no package source of Debian 12"):
        debrepo.host_sources(str(tmp_path))


def test_boot_sector():
    sector = bootdisk.boot_sector(bytes(510) + b"\x55\xaa", 8 << 21, 0x12345678)
    assert sector[0x1B8:0x1BC] == bytes.fromhex("78563412")
    entry = sector[0x1BE:0x1CE]
    assert entry[0] == 0x80 and entry[4] == 0x83
    # Sector 2048 is cylinder 0, head 32, sector 33; the end lies beyond what CHS can say.
    assert entry[1:4] == bytes((32, 33, 0)) and entry[5:8] == b"\xfe\xff\xff"
    assert int.from_bytes(entry[8:12], "little") == 2048
    assert int.from_bytes(entry[12:16], "little") == (8 << 21) - 2048
    assert sector[0x5C:0x64] == (1).to_bytes(8, "little") and sector[510:] == b"\x55\xaa"


@pytest.mark.parametrize("image", [b"", bytes(512), bytes(1024)])
def test_a_boot_image_of_another_form_is_refused(image):
    with pytest.raises(bootdisk.DiskError):
        bootdisk.boot_sector(image, 8 << 21, 1)


def test_core_image():
    core = bootdisk.core_sectors(bytes(1300))
    assert len(core) == 1536
    assert core[0x1F4:0x1FE] == (2).to_bytes(8, "little") + (2).to_bytes(2, "little")
    with pytest.raises(bootdisk.DiskError, match="does not fit"):
        bootdisk.core_sectors(bytes(512 * 2048))
