# SPDX-License-Identifier: Apache-2.0
"""What clients compare of who we are before they go on, recorded from their sources; and the option that changes it."""
import re

import pytest

import conftest


def dotted(text):
    """a.b.c as comparing clients read it; anything else they refuse."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", text), text
    return tuple(int(n) for n in text.split("."))


def xencenter(host, version):
    api = (host["API_version_major"], host["API_version_minor"])
    assert api == (2, 6) or api >= (2, 8)
    assert dotted(version["platform_version"]) >= (2, 1, 1)
    assert dotted(version["xapi_build"]) >= (1, 290, 0), "event.from, snapshots and certificates as it knows them"
    assert version["build_number"]


def xen_orchestra(host, version):
    dotted(version["product_version"])
    assert dotted(version["platform_version"]) >= (2, 1, 1)
    assert version["product_brand"] in ("XCP-ng", "XenServer", "Citrix Hypervisor"), "else there are no updates to look for"
    other = host["other_config"]
    assert float(other["boot_time"]) > 0 and float(other["agent_start_time"]) >= float(other["boot_time"]) and host["enabled"]


def cloudstack(host, version):
    """CitrixResourceBase and its discoverer."""
    assert version["product_brand"] in ("XenServer", "XCP-ng", "Citrix Hypervisor")
    assert dotted(version["product_version"]) > (6, 4, 0)
    assert any("hvm" in c for c in host["capabilities"])


def python_sdk(host, _):
    """XenAPI.py: API_version of the pool's master."""
    assert (int(host["API_version_major"]), int(host["API_version_minor"])) >= (1, 0)


def xcp_ng_tests(_, version):
    assert version["product_brand"] == "XCP-ng" and dotted(version["product_version"]) >= (8, 0, 0)


ANY_BRAND = [python_sdk]
XENSERVER = [xencenter, xen_orchestra, cloudstack, python_sdk]


def record(api):
    (host,) = api.call("host.get_all_records").values()
    return host, host["software_version"]


@pytest.mark.parametrize("client", XENSERVER + [xcp_ng_tests])
def test_the_default_suits_every_client(api, client):
    client(*record(api))


@pytest.mark.parametrize("name, product, clients", [("xenserver", "XenServer", XENSERVER), ("serai", "Serai", ANY_BRAND)])
def test_another_brand(directory, name, product, clients):
    daemon = conftest.Daemon(directory, "--brand", name).start()
    with daemon.api() as api:
        host, version = record(api)
        assert version["product_brand"] == product and version["serai_version"]
        for client in clients:
            client(host, version)
    daemon.stop()
    daemon.options.remove("--brand")
    daemon.options.remove(name)
    daemon.start()
    with daemon.api() as api:
        assert record(api)[1]["product_brand"] == "XCP-ng", "the option decides, not what was stored"
    assert daemon.stop()[0] == 0
