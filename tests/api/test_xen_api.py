# SPDX-License-Identifier: Apache-2.0
"""The npm client xen-api, unmodified, in the versions that package-lock.json names."""
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import BUILD, PASSWORD

HERE = pathlib.Path(__file__).parent / "node"
FILES = ("package.json", "package-lock.json", ".npmrc")


@pytest.fixture(scope="module")
def modules():
    """A directory with node_modules, installed into the build directory when the lock has changed."""
    target = BUILD / "node-xen-api"
    target.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(b"".join((HERE / f).read_bytes() for f in FILES)).hexdigest()
    stamp = target / "stamp"
    with open(target / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != digest:
            for f in FILES:
                shutil.copy(HERE / f, target / f)
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=target, check=True,
                           timeout=300, stdout=subprocess.DEVNULL)
            stamp.write_text(digest)
    return target


def run(modules, *args):
    env = dict(os.environ, XEN_API_DIR=str(modules))
    done = subprocess.run(["node", str(HERE / "client.mjs"), *args], env=env, capture_output=True, text=True,
                          timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def vdi(api):
    sr = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] != "iso")
    return api.call("VDI.create", {"name_label": "disk", "name_description": "", "SR": sr, "virtual_size": 4 << 20,
                                   "type": "user", "sharable": False, "read_only": False, "other_config": {}})


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connect_fill_follow(daemon, api, modules, vdi, scheme):
    out = run(modules, getattr(daemon, scheme), "root", PASSWORD, vdi)
    assert out["types"] > 8 and out["objects"] > 20
    assert out["disk"] == 4 << 20
    expected = ("missing length", "NOT_IMPLEMENTED(message.get_all_records)")
    assert [w for w in out["warnings"] if not any(e in w for e in expected)] == []
