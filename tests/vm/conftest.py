# SPDX-License-Identifier: Apache-2.0
"""A real seraid with real machines: QEMU runs the tiny guest or the null payload. SERAI_BUILD names the build directory,
SERAI_CACHE the folder in which the guests are built once."""
import pathlib
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in ("api", "guest"):
    sys.path.append(str(HERE.parent / folder))

import guests  # noqa: E402
from guest_builds import build  # noqa: E402


def find_kernels():
    """{name in the kernel folder: file}, and the arguments of the tiny guest."""
    tiny, null = pathlib.Path(build("build-tiny")), pathlib.Path(build("build-null"))
    return {"vmlinuz": tiny / "vmlinuz", "initrd": tiny / "initrd", "null": null,
            "cmdline": (tiny / "cmdline").read_text().strip()}


@pytest.fixture(scope="session")
def kernels():
    return find_kernels()


@pytest.fixture(scope="module")
def daemon(kernels):
    with tempfile.TemporaryDirectory(prefix="seraid-") as directory:
        yield from guests.with_daemon(guests.Daemon(directory, kernels))


@pytest.fixture(scope="module")
def api(daemon):
    with daemon.api() as client:
        yield client


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="seraid-") as path:
        yield path


@pytest.fixture
def vm(daemon, api):
    """A new VM of the tiny guest, halted, without devices; gone after the test, whatever it left."""
    guest = guests.Guest(daemon, api)
    yield guest
    guest.remove()
