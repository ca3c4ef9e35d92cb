# SPDX-License-Identifier: Apache-2.0
"""/system-status: the support bundle in each of its forms, and nothing secret in it."""
import io
import subprocess
import tarfile
import xml.etree.ElementTree as ET
import zipfile

import pytest

import conftest
import test_pool_dump

get, cookie, BASIC = test_pool_dump.get, test_pool_dump.cookie, test_pool_dump.BASIC


def files(answer, output):
    """Name in the archive -> contents."""
    if output == "zip":
        with zipfile.ZipFile(io.BytesIO(answer.body)) as z:
            assert z.testzip() is None
            return {n.split("/", 1)[1]: z.read(n) for n in z.namelist()}
    with tarfile.open(fileobj=io.BytesIO(answer.body), mode="r:" if output == "tar" else "r:bz2") as t:
        assert all(m.isfile() and m.name.startswith("bug-report-") for m in t)
        return {m.name.split("/", 1)[1]: t.extractfile(m).read() for m in t.getmembers()}


def capabilities(api):
    root = ET.fromstring(api.call("host.get_system_status_capabilities", api.call("host.get_all")[0]))
    assert root.tag == "system-status-capabilities"
    found = {c.get("key"): c.attrib for c in root}
    assert len(found) == len(root)
    for c in found.values():
        assert c["default-checked"] in ("yes", "no") and c["pii"] in ("yes", "no", "maybe", "if_customized")
        assert int(c["max-size"]) >= int(c["min-size"]) and int(c["max-time"]) >= int(c["min-time"])
    return found


@pytest.mark.parametrize("output, kind", [("tar", "x-tar"), ("tar.bz2", "x-bzip2"), ("zip", "zip")])
def test_each_form(daemon, api, output, kind):
    answer = get(daemon, "/system-status?output=" + output, cookie(api))
    assert answer.status == 200 and answer.headers["content-type"] == "application/" + kind
    assert answer.headers["content-disposition"].endswith('.%s"' % output)
    got = files(answer, output)
    assert b"product_brand: XCP-ng" in got["versions.txt"] and b"processor" in got["cpuinfo"]
    assert ET.fromstring(got["xapi-db.xml"]).tag == "database" and got["seraid.log"] and "rrd.xml" not in got


def test_keys_are_what_capabilities_say(daemon, api):
    everything = set(files(get(daemon, "/system-status?output=tar&entries=" + ",".join(capabilities(api)), BASIC), "tar"))
    seen = set()
    for key in capabilities(api):
        got = set(files(get(daemon, "/system-status?output=tar&entries=nothing," + key, BASIC), "tar"))
        assert got and not got & seen, key
        seen |= got
    assert seen == everything
    assert files(get(daemon, "/system-status?output=tar&entries=none", BASIC), "tar") == {}


def test_no_secrets(daemon, api):
    vm = api.new_vm("secretive")
    api.call("secret.create", {"value": "hidden-one", "other_config": {}})
    api.call("VM.add_to_other_config", vm, "my-password", "hidden-two")
    api.call("VM.add_to_xenstore_data", vm, "vm-data/api_token", "hidden-three")
    api.call("VM.add_to_other_config", vm, "plain", "shown")
    got = files(get(daemon, "/system-status?output=tar&x=unknown", cookie(api)), "tar")
    whole = b"".join(got.values())
    assert b"hidden-" not in whole and b"shown" in whole and b"REDACTED" in whole
    assert api.session.encode() not in whole and conftest.PASSWORD.encode() not in whole
    # Nor can it be taken for a backup.
    record = test_pool_dump.put(daemon, api, "/pool/xmldbdump?dry_run=true", got["xapi-db.xml"])
    assert record["error_info"] == ["RESTORE_INCOMPATIBLE_VERSION"]
    api.call("VM.destroy", vm)


def test_refusals_and_tasks(daemon, api):
    assert get(daemon, "/system-status").status == 401
    assert get(daemon, "/system-status?session_id=OpaqueRef:NULL").status == 401
    task = api.call("task.create", "status", "")
    assert get(daemon, "/system-status?output=floppy&task_id=" + task, cookie(api)).status == 400
    assert api.wait_task(task)["error_info"] == ["INVALID_VALUE", "output", "floppy"]
    task = api.call("task.create", "status", "")
    assert get(daemon, "/system-status?task_id=" + task, cookie(api)).status == 200
    assert api.wait_task(task)["status"] == "success"
    error = api.fails("host.get_system_status_capabilities", api.pool())
    assert error.code == "HANDLE_INVALID"


def test_curl_and_http_1_0(daemon, api, tmp_path):
    subprocess.run(["curl", "-sSkf", "-u", "root:" + conftest.PASSWORD, "-o", str(tmp_path / "b.tar"),
                    daemon.https + "/system-status/?output=tar"], check=True, timeout=60)
    assert tarfile.open(tmp_path / "b.tar").getnames()
    with daemon.connect() as c:
        answer = c.request("GET", "/system-status?output=tar", headers=cookie(api), version="1.0")
    assert answer.status == 200 and "versions.txt" in files(answer, "tar")
