# SPDX-License-Identifier: Apache-2.0
"""/export_metadata and /import_metadata: VMs without their disks' contents, there and back, and archives that are bent."""
import io
import subprocess
import tarfile
import xmlrpc.client

import pytest

import conftest
import test_pool_dump
import test_roles

get, put, cookie, BASIC = test_pool_dump.get, test_pool_dump.put, test_pool_dump.cookie, test_pool_dump.BASIC
EXPORT, IMPORT = "/export_metadata", "/import_metadata"


def ova(archive):
    """The description in an archive, by Python's own XML-RPC."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as t:
        assert t.getnames() == ["ova.xml"]
        text = t.extractfile("ova.xml").read().decode()
    assert "> <" not in text
    value = text.split("?>", 1)[1]
    (tree,), _ = xmlrpc.client.loads("<params><param>%s</param></params>" % value)
    return tree


def pack(tree, name="ova.xml", kind=tarfile.REGTYPE):
    text = tree if isinstance(tree, bytes) else xmlrpc.client.dumps((tree,)).split("<param>\n")[1].rsplit("</param>")[0].encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(text)
        t.addfile(info, io.BytesIO(text))
    return out.getvalue()


def objects(tree, cls):
    return {o["id"]: o["snapshot"] for o in tree["objects"] if o["class"] == cls}


@pytest.fixture(scope="module")
def vm(api):
    """A VM with a disk, an empty drive and an interface."""
    vm = api.new_vm("exported <&> é")
    sr = api.call("pool.get_default_SR", api.pool())
    vdi = api.call("VDI.create", {"SR": sr, "virtual_size": 1 << 20, "name_label": "disk", "type": "user", "sharable": False,
                                  "read_only": False, "other_config": {}})
    for record in ({"VDI": vdi, "userdevice": "0", "type": "Disk", "mode": "RW", "bootable": True},
                   {"VDI": "OpaqueRef:NULL", "userdevice": "3", "type": "CD", "mode": "RO", "bootable": False}):
        api.call("VBD.create", {"VM": vm, "empty": record["type"] == "CD", "unpluggable": True, "other_config": {},
                                "qos_algorithm_type": "", "qos_algorithm_params": {}, **record})
    api.call("VIF.create", {"VM": vm, "network": api.call("network.get_all")[0], "device": "0", "MAC": "02:00:00:00:00:77",
                            "MTU": 1500, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    api.call("VM.add_to_other_config", vm, "key", "value")
    return vm


def archive_of(daemon, api, vm, more=""):
    answer = get(daemon, "%s?ref=%s%s" % (EXPORT, vm, more), cookie(api))
    assert answer.status == 200 and answer.headers["content-type"] == "application/octet-stream"
    return answer.body


def refs(record):
    assert record["status"] == "success", record
    (values,), _ = xmlrpc.client.loads("<params><param>%s</param></params>" % record["result"])
    return values


def test_the_form(daemon, api, vm):
    tree = ova(archive_of(daemon, api, vm))
    assert tree["version"]["export_vsn"] == "2" and tree["version"]["product_brand"] == "XCP-ng"
    assert set(tree["version"]) == {"hostname", "date", "product_version", "product_brand", "build_number", "xapi_major",
                                    "xapi_minor", "export_vsn"}
    ids = [o["id"] for o in tree["objects"]]
    assert ids == ["Ref:%d" % i for i in range(len(ids))]
    ((vm_id, record),) = objects(tree, "VM").items()
    assert record["uuid"] == api.call("VM.get_uuid", vm) and record["name_label"] == "exported <&> é"
    assert set(record) == set(api.call("VM.get_record", vm)) and record["metrics"] == "OpaqueRef:NULL"
    vbds = objects(tree, "VBD")
    assert sorted(record["VBDs"]) == sorted(vbds) and {v["VM"] for v in vbds.values()} == {vm_id}
    (vdi,), (sr,) = objects(tree, "VDI").items(), objects(tree, "SR")
    assert vdi[1]["SR"] == sr and vdi[0] in [v["VDI"] for v in vbds.values()]
    (network,) = objects(tree, "network")
    assert [v["network"] for v in objects(tree, "VIF").values()] == [network]
    assert "OpaqueRef:" not in str(tree).replace("OpaqueRef:NULL", "")


def test_who_may_and_what(daemon, api, vm):
    uuid = api.call("VM.get_uuid", vm)
    assert get(daemon, EXPORT + "?uuid=" + uuid).status == 401
    assert get(daemon, EXPORT + "?vm=%s&nothing=known" % vm, BASIC).status == 200
    assert get(daemon, EXPORT + "?uuid=" + uuid, cookie(api)).status == 200
    assert get(daemon, EXPORT + "?uuid=none", cookie(api)).status == 404
    assert get(daemon, EXPORT, cookie(api)).status == 404
    assert get(daemon, EXPORT + "?all=perhaps", cookie(api)).status == 400
    task = api.call("task.create", "x", "")
    assert get(daemon, "%s?uuid=%s&task_id=%s" % (EXPORT, api.call("pool.get_uuid", api.pool()), task), cookie(api)).status == 404
    assert api.wait_task(task)["error_info"][0] == "UUID_INVALID"
    task = api.call("task.create", "x", "")
    assert get(daemon, "%s?uuid=%s&task_id=%s" % (EXPORT, uuid, task), cookie(api)).status == 200
    assert api.wait_task(task)["status"] == "success"
    every = ova(get(daemon, EXPORT + "?all=true", cookie(api)).body)
    names = [v["name_label"] for v in objects(every, "VM").values()]
    assert "exported <&> é" in names and "Other install media" not in names
    with daemon.connect() as c:
        assert c.request("PUT", IMPORT, headers=cookie(api)).status == 200, "looks for a redirection"
    with daemon.connect() as c:
        assert c.request("PUT", IMPORT + "?force=perhaps", b"x", headers=cookie(api)).status == 400
    with daemon.connect() as c:
        assert c.request("PUT", IMPORT, b"x").status == 401


def test_a_copy(daemon, api, vm):
    archive = archive_of(daemon, api, vm)
    before = api.call("VM.get_all")
    assert refs(put(daemon, api, IMPORT + "?dry_run=true", archive)) == [] and api.call("VM.get_all") == before
    (copy,) = refs(put(daemon, api, IMPORT, archive, length=1 << 50, close=True))
    old, new = api.call("VM.get_record", vm), api.call("VM.get_record", copy)
    own = {"uuid", "metrics", "VBDs", "VIFs", "other_config"}
    assert {k: v for k, v in old.items() if k not in own} == {k: v for k, v in new.items() if k not in own}
    assert new["uuid"] != old["uuid"] and new["other_config"]["key"] == "value"

    def devices(record):
        return sorted((b["userdevice"], b["VDI"], b["type"], b["mode"], b["bootable"], b["empty"])
                      for b in (api.call("VBD.get_record", r) for r in record["VBDs"]))
    assert devices(new) == devices(old)
    (vif,) = [api.call("VIF.get_record", r) for r in new["VIFs"]]
    assert vif["MAC"] != "02:00:00:00:00:77" and vif["MAC_autogenerated"] and vif["network"] == api.call("network.get_all")[0]
    assert "start" in new["allowed_operations"]
    api.call("VM.destroy", copy)


def test_restore(daemon, api, vm):
    other = api.call("VM.clone", vm, "to be restored")
    uuid = api.call("VM.get_uuid", other)
    (vdi,) = [b["VDI"] for b in (api.call("VBD.get_record", r) for r in api.call("VM.get_VBDs", other)) if b["type"] == "Disk"]
    mac = api.call("VIF.get_MAC", api.call("VM.get_VIFs", other)[0])
    archive = archive_of(daemon, api, other)
    assert put(daemon, api, IMPORT + "?restore=true", archive)["error_info"] == ["DUPLICATE_VM", other]
    api.call("VM.destroy", other)
    (back,) = refs(put(daemon, api, IMPORT + "?restore=true", archive))
    assert api.call("VM.get_uuid", back) == uuid and api.call("VIF.get_MAC", api.call("VM.get_VIFs", back)[0]) == mac
    # Without its disk: refused, or with force left out.
    archive = archive_of(daemon, api, back)
    api.call("VM.destroy", back)
    api.call("VDI.destroy", vdi)
    assert put(daemon, api, IMPORT, archive)["error_info"] == ["IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND"]
    (bare,) = refs(put(daemon, api, IMPORT + "?force=true", archive))
    assert [api.call("VBD.get_type", b) for b in api.call("VM.get_VBDs", bare)] == ["CD"]
    api.call("VM.destroy", bare)


def test_snapshots_and_networks(daemon, api, vm):
    """As another host's archive has them: a snapshot, a network that is not here, classes that nobody knows."""
    tree = ova(archive_of(daemon, api, vm))
    (vm_id,) = objects(tree, "VM")
    snapshot = dict(objects(tree, "VM")[vm_id], is_a_snapshot=True, snapshot_of=vm_id, name_label="at noon", VBDs=[], VIFs=[])
    tree["objects"].append({"class": "VM", "id": "Ref:900", "snapshot": snapshot})
    tree["objects"].append({"class": "SDN_controller_of_the_future", "id": "Ref:901", "snapshot": {"uuid": "x"}})
    (network,) = [o for o in tree["objects"] if o["class"] == "network"]
    network["snapshot"].update(uuid="11111111-2222-3333-4444-555555555555", bridge="br-new", name_label="made by an import")
    (copy,) = refs(put(daemon, api, IMPORT, pack(tree)))
    (snap,) = api.call("VM.get_snapshots", copy)
    assert api.call("VM.get_name_label", snap) == "at noon" and api.call("VM.get_is_a_snapshot", snap)
    made = api.call("VIF.get_network", api.call("VM.get_VIFs", copy)[0])
    assert api.call("network.get_name_label", made) == "made by an import"
    archive = archive_of(daemon, api, copy)
    assert len(objects(ova(archive), "VM")) == 2
    assert len(objects(ova(archive_of(daemon, api, copy, "&export_snapshots=false")), "VM")) == 1
    (again,) = refs(put(daemon, api, IMPORT, archive))
    assert len(api.call("VM.get_snapshots", again)) == 1
    assert api.call("VIF.get_network", api.call("VM.get_VIFs", again)[0]) == made, "the same network, found"
    for gone in (snap, *api.call("VM.get_snapshots", again), copy, again):
        api.call("VM.destroy", gone)
    api.call("network.destroy", made)


def bent(daemon, api, vm):
    def change(what, cls="VM", **fields):
        tree = ova(archive_of(daemon, api, vm))
        for o in tree["objects"]:
            if o["class"] == cls:
                o["snapshot"].update(fields)
        what and what(tree)
        return pack(tree)
    ustar = pack(ova(archive_of(daemon, api, vm)))
    yield b"", "IMPORT_ERROR_PREMATURE_EOF"
    yield b"x" * 100, "IMPORT_ERROR_PREMATURE_EOF"
    yield b"x" * 512, "IMPORT_ERROR"
    yield bytes(1024), "IMPORT_ERROR"
    yield ustar[:700], "IMPORT_ERROR_PREMATURE_EOF"
    yield pack(b"<value/>", name="../../etc/passwd"), "IMPORT_ERROR_UNEXPECTED_FILE"
    yield pack(b"", kind=tarfile.SYMTYPE), "IMPORT_ERROR_UNEXPECTED_FILE"
    yield pack(b"no xml"), "IMPORT_ERROR"
    yield pack(b"<!DOCTYPE a [<!ENTITY b 'c'>]><value>&b;</value>"), "IMPORT_ERROR"
    yield pack(b"<value><array><data>" * 200), "IMPORT_ERROR"
    yield pack(b"<value><struct></struct></value>"), "IMPORT_ERROR"
    huge = tarfile.TarInfo("ova.xml")
    huge.size = 1 << 32
    yield huge.tobuf(tarfile.USTAR_FORMAT), "IMPORT_ERROR"
    yield change(lambda t: t["version"].update(export_vsn="3")), "IMPORT_INCOMPATIBLE_VERSION"
    yield change(lambda t: t["version"].pop("export_vsn")), "IMPORT_ERROR"
    yield change(lambda t: t["objects"].append({"class": "VM"})), "IMPORT_ERROR"
    yield change(lambda t: t["objects"].append(t["objects"][0])), "IMPORT_ERROR"
    yield change(None, memory_static_max="1"), "MEMORY_CONSTRAINT_VIOLATION_ORDER"
    yield change(None, VCPUs_max="100000"), "INVALID_VALUE"
    yield change(None, other_config="text"), "FIELD_TYPE_ERROR"
    yield change(None, "VBD", userdevice="0"), "DEVICE_ALREADY_EXISTS"
    yield change(None, "VBD", userdevice="../0"), "INVALID_DEVICE"
    yield change(None, "VIF", device="99"), "INVALID_DEVICE"
    yield change(None, "VIF", network="Ref:777"), "IMPORT_ERROR_FAILED_TO_FIND_OBJECT"


def test_bent_archives(daemon, api, vm):
    before = test_pool_dump.state(api)
    for body, code in bent(daemon, api, vm):
        record = put(daemon, api, IMPORT, body or b" ", close=len(body) < 512)
        assert record["status"] == "failure" and record["error_info"][0] == code, (code, body[:40], record)
    bad_mac = ova(archive_of(daemon, api, vm))
    for o in bad_mac["objects"]:
        if o["class"] == "VIF":
            o["snapshot"]["MAC"] = "01:00:00:00:00:00"
        if o["class"] == "VM":
            o["snapshot"]["uuid"] = "11111111-2222-3333-4444-555555555555"
    assert put(daemon, api, IMPORT + "?restore=true", pack(bad_mac))["error_info"][0] == "MAC_INVALID"
    assert test_pool_dump.state(api) == before


def test_what_a_stranger_may_not_say(daemon, api, vm):
    """Fields that only the daemon sets."""
    tree = ova(archive_of(daemon, api, vm, "&preserve_power_state=true"))
    for o in tree["objects"]:
        if o["class"] == "VM":
            o["snapshot"].update(power_state="Running", is_control_domain=True, domid="0", is_default_template=True,
                                 resident_on="Ref:0", suspend_VDI="Ref:0")
            o["snapshot"]["other_config"]["default_template"] = "true"
        if o["class"] in ("VBD", "VIF"):
            o["snapshot"]["currently_attached"] = True
    (copy,) = refs(put(daemon, api, IMPORT, pack(tree)))
    record = api.call("VM.get_record", copy)
    assert record["power_state"] == "Halted" and not record["is_control_domain"] and not record["is_default_template"]
    assert record["resident_on"] == "OpaqueRef:NULL" and "default_template" not in record["other_config"]
    assert not any(api.call("VBD.get_currently_attached", b) for b in record["VBDs"])
    api.call("VM.destroy", copy)


def test_curl(daemon, api, vm, tmp_path):
    file = tmp_path / "vm.xva"
    auth = ["curl", "-sSkf", "-u", "root:" + conftest.PASSWORD]
    subprocess.run(auth + ["-o", str(file), "%s%s/?ref=%s" % (daemon.https, EXPORT, vm)], check=True, timeout=60)
    before = len(api.call("VM.get_all"))
    task = api.call("task.create", "curl", "")
    subprocess.run(auth + ["-T", str(file), "%s%s?task_id=%s" % (daemon.https, IMPORT, task)], check=True, timeout=60)
    (copy,) = refs(api.wait_task(task))
    assert len(api.call("VM.get_all")) == before + 1
    api.call("VM.destroy", copy)


def test_what_a_role_may(daemon, api, vm):
    """Whose role is too weak gets nothing; keys with roles of their own are asked for one by one."""
    archive = archive_of(daemon, api, vm)
    for name in ("read-only", "vm-operator"):
        with test_roles.as_token(daemon, api, "meta-" + name, test_roles.role(api, name)) as user:
            assert get(daemon, EXPORT + "?ref=" + vm, cookie(user)).status == 403
            task = user.call("task.create", "import", "")
            with daemon.connect() as c:
                assert c.request("PUT", IMPORT + "?task_id=" + task, archive, headers=cookie(user)).status == 403
            assert user.wait_task(task)["error_info"][0] == "RBAC_PERMISSION_DENIED"
            for path in ("/pool/xmldbdump", "/system-status"):
                assert get(daemon, path, cookie(user)).status == (200 if path == "/system-status" else 403)
            with daemon.connect() as c:
                assert c.request("PUT", "/messages?cls=VM&uuid=" + api.call("VM.get_uuid", vm), b"<message/>",
                                 headers=cookie(user)).status == 403
    with test_roles.as_token(daemon, api, "meta-admin", test_roles.role(api, "vm-admin")) as user:
        (copy,) = refs(put(daemon, user, IMPORT, archive))
        api.call("VM.destroy", copy)
        before = api.call("VM.get_all")
        keys = [k for (cls, field), rows in test_roles.KEY_ROLES.items() if (cls, field) == ("VM", "other_config")
                for k, role in rows.items() if role in ("pool-admin", "pool-operator")]
        assert keys, "VM.other_config has such keys"
        api.call("VM.add_to_other_config", vm, keys[0].replace("*", "x"), "value")
        record = put(daemon, user, IMPORT, archive_of(daemon, api, vm))
        assert record["error_info"][0] == "RBAC_PERMISSION_DENIED" and api.call("VM.get_all") == before
        api.call("VM.remove_from_other_config", vm, keys[0].replace("*", "x"))
