# SPDX-License-Identifier: Apache-2.0
"""A bootable raw disk made without devices or privilege: an MBR partition table, GRUB for BIOS in the gap before the
first partition, and one ext4 filesystem filled from a directory.

What grub-install and grub-bios-setup do with a mounted disk is done here on the file. Layout of the images: GRUB 2.06,
include/grub/i386/pc/boot.h and grub-core/boot/i386/pc/{boot,diskboot}.S.
"""
import os
import struct
import subprocess

SECTOR = 512
PART_START = 2048  # sectors: 1 MiB, what partitioning tools align to
BOOT_KERNEL_SECTOR = 0x5C  # boot.img: where core.img begins, 64 bits
BOOT_DRIVE = 0x64  # boot.img: 0xff takes the drive that the BIOS passes in DL
BOOT_DRIVE_CHECK = 0x66  # boot.img: a jump over the work-around for BIOSes that pass a wrong DL
DISKBOOT_BLOCKLIST = 0x1F4  # core.img, first sector: u64 start, u16 count, u16 load segment


class DiskError(Exception):
    """One sentence for the user."""


def _chs(lba):
    """The CHS form of a sector number; beyond its range the value that says so."""
    if lba >= 1023 * 255 * 63:
        return b"\xfe\xff\xff"
    c, rest = divmod(lba, 255 * 63)
    h, s = divmod(rest, 63)
    return bytes((h, (s + 1) | (c >> 2 & 0xC0), c & 0xFF))


def boot_sector(boot_img, sectors, disk_id):
    """The first sector: GRUB's boot code and a table of one active Linux partition."""
    if len(boot_img) != SECTOR or boot_img[510:] != b"\x55\xaa":
        raise DiskError("GRUB's boot.img is not a boot sector")
    b = bytearray(boot_img)
    struct.pack_into("<Q", b, BOOT_KERNEL_SECTOR, 1)
    b[BOOT_DRIVE] = 0xFF
    b[BOOT_DRIVE_CHECK:BOOT_DRIVE_CHECK + 2] = b"\x90\x90"
    count = sectors - PART_START
    b[0x1B8:0x1FE] = (struct.pack("<IH", disk_id, 0)
                      + b"\x80" + _chs(PART_START) + b"\x83" + _chs(sectors - 1)
                      + struct.pack("<II", PART_START, count) + bytes(48))
    return bytes(b)


def core_sectors(core_img):
    """core.img as it stands from sector 1 on."""
    core = bytearray(core_img + bytes(-len(core_img) % SECTOR))
    count = len(core) // SECTOR
    if count >= PART_START:
        raise DiskError("GRUB's core.img of %d sectors does not fit before the first partition" % count)
    # The first sector loads the rest, which follows it at once.
    struct.pack_into("<QH", core, DISKBOOT_BLOCKLIST, 2, count - 1)
    return bytes(core)


def make(path, size, tree, uuid, label):
    """Write the disk `path` of `size` bytes from the directory `tree`, which holds boot/grub/i386-pc. Run it as root
    or under fakeroot: the filesystem takes the owners it sees."""
    sectors = size // SECTOR
    if size % (1 << 20) or not 256 << 20 <= size <= 2 << 40:
        raise DiskError("a disk of %d bytes is not whole MiB between 256 MiB and 2 TiB" % size)
    with open(tree + "/boot/grub/i386-pc/boot.img", "rb") as f:
        boot = boot_sector(f.read(), sectors, int(uuid[:8], 16))
    with open(tree + "/boot/grub/i386-pc/core.img", "rb") as f:
        core = core_sectors(f.read())
    with open(path, "wb") as f:
        f.truncate(size)
    # The two features switched off are ones that GRUB 2.06 cannot read.
    p = subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-U", uuid, "-m", "1",
         "-O", "^metadata_csum_seed,^orphan_file",
         "-E", "offset=%d,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0" % (PART_START * SECTOR),
         "-d", tree, path, "%dk" % ((size - PART_START * SECTOR) // 1024)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env=dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"))
    if p.returncode:
        raise DiskError("mke2fs: " + (p.stdout.strip().split("\n") or ["failed"])[-1])
    with open(path, "r+b") as f:
        f.write(boot + core)
