# SPDX-License-Identifier: Apache-2.0
"""Measurements: their HTTP handlers, data sources, and that they outlive the daemon. A round of measurements each few
milliseconds counts as 5 seconds here, so the clock of the measurements runs ahead."""
import base64
import json
import math
import re
import time
import xml.etree.ElementTree as ET

import pytest

import conftest
import wire

FAST = ("--sample-ms", "20")
HOST = ["loadavg", "hostload", "memory_total_kib", "memory_free_kib", "running_vcpus", "running_domains", "cpu0", "cpu_avg"]
SR = ["iops_read_%s", "iops_write_%s", "io_throughput_read_%s", "io_throughput_write_%s", "read_latency_%s",
      "write_latency_%s", "iowait_%s"]
VM = ["memory", "memory_target", "cpu0", "cpu1", "cpu_usage", "vif_0_rx", "vif_0_tx", "vbd_xvda_read", "vbd_xvda_write",
      "vbd_xvda_iops_read", "vbd_xvda_iops_write", "vbd_xvda_io_throughput_read", "vbd_xvda_io_throughput_write",
      "vbd_xvda_read_latency", "vbd_xvda_write_latency"]


@pytest.fixture(scope="module")
def daemon():
    yield from conftest.with_daemon(*FAST)


def local_sr(api):
    return next((r, v["uuid"]) for r, v in api.call("SR.get_all_records").items() if v["content_type"] != "iso")


@pytest.fixture(scope="module")
def vm(api):
    """A running VM with a disk and a NIC: its reference and uuid."""
    ref = api.new_vm("measured")
    vdi = api.call("VDI.create", {"name_label": "disk", "name_description": "", "SR": local_sr(api)[0], "sharable": False,
                                  "virtual_size": 1 << 20, "type": "user", "read_only": False, "other_config": {}})
    api.call("VBD.create", {"VM": ref, "VDI": vdi, "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk",
                            "empty": False, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    network = api.call("network.get_all")[0]
    api.call("VIF.create", {"VM": ref, "network": network, "device": "0", "MAC": "", "MTU": 1500, "other_config": {},
                            "qos_algorithm_type": "", "qos_algorithm_params": {}})
    api.call("VM.start", ref, False, False)
    return ref, api.call("VM.get_uuid", ref)


def get(daemon, api, path, status=200, **query):
    query = dict(query, session_id=api.session) if api else query
    with daemon.connect() as raw:
        answer = raw.request("GET", path + "?" + "&".join("%s=%s" % i for i in query.items()))
    assert answer.status == status, answer.body[:500]
    return answer


def table(daemon, api, **query):
    return get(daemon, api, "/rrd_updates", json="true", **query).json()


def until(what):
    """Ask until there is an answer that is not None: rounds of measurement pass meanwhile."""
    end = time.monotonic() + wire.LIMIT
    while time.monotonic() < end:
        answer = what()
        if answer is not None:
            return answer
    raise AssertionError("too late")


def columns(data):
    """{(cf, kind, uuid, name): [newest .. oldest]}"""
    legend = [tuple(re.fullmatch(r"(AVERAGE|MIN|MAX):([^:]+):(.+):(.+)", e).groups()) for e in data["meta"]["legend"]]
    return {c: [float(row["values"][i]) for row in data["data"]] for i, c in enumerate(legend)}


def rounds(daemon, api, vm, n):
    """A table of the VM with at least n rows that are known, the two newest among them."""
    def enough():
        data = table(daemon, api, host="true", interval=5, cf="AVERAGE")
        values = columns(data).get(("AVERAGE", "vm", vm[1], "cpu0"), [])
        known = [v for v in values if not math.isnan(v)]
        return data if len(known) >= n and not math.isnan(values[0]) else None
    return until(enough)


def test_names_and_values(daemon, api, vm):
    data = rounds(daemon, api, vm, 5)
    meta, all_columns = data["meta"], columns(data)
    host = api.call("host.get_uuid", api.call("host.get_all")[0])
    short = local_sr(api)[1][:8]
    assert meta["step"] == 5 and meta["rows"] == len(data["data"]) == 120 and meta["columns"] == len(meta["legend"])
    assert [row["t"] for row in data["data"]] == list(range(meta["end"], meta["end"] - 600, -5))
    assert all(len(row["values"]) == meta["columns"] for row in data["data"])
    for name in HOST + [s % short for s in SR]:
        assert ("AVERAGE", "host", host, name) in all_columns, name
    assert [c[3] for c in all_columns if c[1] == "vm"] == VM  # one VM runs, and it has these
    newest = {c[3]: v[0] for c, v in all_columns.items() if c[1] == "vm"}
    # What the fake machine does in 5 seconds.
    want = {"memory": int(api.call("VM.get_memory_dynamic_max", vm[0])), "cpu0": 0.5, "cpu1": 0.25, "cpu_usage": 0.375,
            "vif_0_rx": 1000, "vif_0_tx": 100, "vbd_xvda_read": 1048576 / 5, "vbd_xvda_write": 1048576,
            "vbd_xvda_iops_read": 20, "vbd_xvda_iops_write": 10, "vbd_xvda_io_throughput_read": 0.2,
            "vbd_xvda_io_throughput_write": 1, "vbd_xvda_read_latency": 2000, "vbd_xvda_write_latency": 4000}
    for name, value in want.items():
        assert newest[name] == pytest.approx(value, rel=1e-5), name
    on_host = {c[3]: v[0] for c, v in all_columns.items() if c[1] == "host"}
    assert on_host["iops_read_" + short] == pytest.approx(20) and on_host["io_throughput_write_" + short] == pytest.approx(1)
    assert on_host["read_latency_" + short] == pytest.approx(2000)
    assert on_host["memory_total_kib"] > on_host["memory_free_kib"] > 0 and on_host["running_domains"] == 1
    assert 0 <= on_host["cpu0"] <= 1 and on_host["loadavg"] >= 0


def test_xml_and_json_say_the_same(daemon, api, vm):
    start = rounds(daemon, api, vm, 3)["meta"]["end"] - 10
    answer = get(daemon, api, "/rrd_updates", start=start, interval=5, vm_uuid=vm[1])
    assert answer.headers["content-type"] == "text/xml"
    root = ET.fromstring(answer.body)
    assert root.tag == "xport"
    data = table(daemon, api, start=start, interval=5, vm_uuid=vm[1])
    assert [e.text for e in root.find("meta/legend")] == data["meta"]["legend"]
    assert int(root.find("meta/step").text) == data["meta"]["step"]
    rows = {int(r.find("t").text): [v.text for v in r.findall("v")] for r in root.find("data")}
    same = {r["t"]: r["values"] for r in data["data"]}
    assert start in rows and start in same
    for t in rows:
        assert rows[t] == same[t]


def test_queries(daemon, api, vm):
    rounds(daemon, api, vm, 13)  # a minute
    end = table(daemon, api, interval=5)["meta"]["end"]
    assert table(daemon, api, interval=60)["meta"]["step"] == 60
    assert table(daemon, api, interval=3600, start=end - 7200)["meta"]["step"] == 3600
    assert table(daemon, api, interval=86400)["meta"]["step"] == 86400
    assert table(daemon, api, start=end - 3600)["meta"]["step"] == 60
    assert len(table(daemon, api, start=-20, interval=5)["data"]) in (4, 5)
    kinds = lambda **q: {c[1] for c in columns(table(daemon, api, interval=5, **q))}
    assert kinds() == {"vm"} and kinds(host="true") == {"vm", "host"}
    assert kinds(vm_uuid="none", host="true") == {"host"}
    assert kinds(vm_uuid="none", sr_uuid="all") == kinds(vm_uuid="none", sr_uuid=local_sr(api)[1]) == {"sr"}
    host = columns(table(daemon, api, interval=60, host="true", vm_uuid="none", cf="MAX"))
    assert {c[0] for c in host} == {"MAX"}
    both = columns(table(daemon, api, interval=60, host="true", vm_uuid="none"))
    assert {c[0] for c in both} == {"AVERAGE", "MIN", "MAX"}
    for wrong in ({"start": "yesterday"}, {"interval": "-5"}, {"cf": "LAST"}, {"json": "perhaps"}, {"start": "nan"}):
        get(daemon, api, "/rrd_updates", status=400, **wrong)


def whole_xml(daemon, api, path, **query):
    root = ET.fromstring(get(daemon, api, path, **query).body)
    assert root.tag == "rrd" and root.find("version").text == "0003" and root.find("step").text == "5"
    names = [d.find("name").text for d in root.findall("ds")]
    for rra in root.findall("rra"):
        rows = rra.findall("database/row")
        assert len(rows) == {"1": 120, "12": 120, "720": 168, "17280": 366}[rra.find("pdp_per_row").text]
        assert all(len(r) == len(names) for r in rows)
        assert len(rra.findall("cdp_prep/ds")) == len(names)
    return root, names


def test_whole_stores(daemon, api, vm):
    rounds(daemon, api, vm, 3)
    root, names = whole_xml(daemon, api, "/vm_rrd", uuid=vm[1])
    assert names == VM and {r.find("cf").text for r in root.findall("rra")} == {"AVERAGE"}
    root, names = whole_xml(daemon, api, "/host_rrd")
    assert set(HOST) <= set(names) and len(root.findall("rra")) == 1 + 3 * 3
    whole_xml(daemon, api, "/sr_rrd", uuid=local_sr(api)[1])
    answer = get(daemon, api, "/vm_rrd", uuid=vm[1], json="true")
    data = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/json"
    assert [d["name"] for d in data["ds"]] == VM and len(data["rra"]) == 4
    assert len(data["rra"][0]["database"]) == 120
    assert float(data["rra"][0]["database"][119][VM.index("cpu0")]) == pytest.approx(0.5)
    assert data["ds"][VM.index("cpu0")]["type"] == "DERIVE"
    for path in ("/vm_rrd", "/sr_rrd"):
        for uuid in ("", "no-such", "../password", local_sr(api)[1] if path == "/vm_rrd" else vm[1]):
            get(daemon, api, path, status=404, uuid=uuid)


def test_who_may(daemon, api):
    for path in ("/rrd_updates", "/host_rrd", "/vm_rrd", "/sr_rrd", "/metrics"):
        assert "basic" in get(daemon, None, path, status=401).headers["www-authenticate"].lower()
    basic = base64.b64encode(b"root:" + conftest.PASSWORD.encode()).decode()
    with daemon.connect() as raw:
        assert raw.request("GET", "/host_rrd", headers=[("Authorization", "Basic " + basic)]).status == 200
    with wire.Raw(unix=daemon.unix) as raw:
        assert raw.request("GET", "/metrics").status == 200


def test_data_sources(daemon, api, vm):
    rounds(daemon, api, vm, 3)
    host, (sr, sr_uuid) = api.call("host.get_all")[0], local_sr(api)
    sources = {s["name_label"]: s for s in api.call("VM.get_data_sources", vm[0])}
    assert list(sources) == VM
    assert all(s["enabled"] and s["standard"] and s["units"] != "unknown" and s["name_description"]
               for s in sources.values())
    assert sources["cpu0"]["max"] == 1 and sources["cpu0"]["value"] == pytest.approx(0.5)
    on_host = {s["name_label"]: s for s in api.call("host.get_data_sources", host)}
    assert set(HOST) <= set(on_host)
    assert not [n for n, s in on_host.items() if s["units"] == "unknown"]
    api.call("SR.scan", sr)
    until(lambda: api.call("SR.query_data_source", sr, "physical_size") or None)
    on_sr = {s["name_label"]: s for s in api.call("SR.get_data_sources", sr)}
    assert on_sr["physical_size"]["value"] > 0 and on_sr["iops_read"]["units"] == "requests/s"
    assert api.call("VM.query_data_source", vm[0], "cpu1") == pytest.approx(0.25)
    assert api.call("host.query_data_source", host, "memory_total_kib") > 0
    assert api.call("SR.query_data_source", sr, "iops_write") == pytest.approx(10)
    for call, ref in (("VM", vm[0]), ("host", host), ("SR", sr)):
        for what in ("query_data_source", "record_data_source", "forget_data_source_archives"):
            assert api.fails("%s.%s" % (call, what), ref, "no_such").code == "INVALID_VALUE"
    assert api.fails("VM.get_data_sources", "OpaqueRef:" + sr_uuid).code == "HANDLE_INVALID"


def test_forget_and_record(daemon, api, vm):
    rounds(daemon, api, vm, 3)
    key = ("AVERAGE", "vm", vm[1], "cpu1")
    api.call("VM.forget_data_source_archives", vm[0], "cpu1")
    assert key not in columns(table(daemon, api, interval=5))
    assert "cpu1" not in whole_xml(daemon, api, "/vm_rrd", uuid=vm[1])[1]
    assert [s["enabled"] for s in api.call("VM.get_data_sources", vm[0]) if s["name_label"] == "cpu1"] == [False]
    assert api.call("VM.query_data_source", vm[0], "cpu1") == pytest.approx(0.25)  # is still measured
    api.call("VM.record_data_source", vm[0], "cpu1")

    def again():
        values = columns(table(daemon, api, interval=5)).get(key)
        return [v for v in values if not math.isnan(v)] or None
    assert until(again)[0] == pytest.approx(0.25)


def test_free_memory_is_told(daemon, api):
    metrics = api.call("host.get_metrics", api.call("host.get_all")[0])
    until(lambda: int(api.call("host_metrics.get_record", metrics)["memory_free"]) or None)
    record = api.call("host_metrics.get_record", metrics)
    assert 0 < int(record["memory_free"]) < int(record["memory_total"])


SAMPLE = re.compile(r'([a-z_0-9]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (\S+)')


def test_metrics(daemon, api, vm):
    rounds(daemon, api, vm, 3)
    answer = get(daemon, api, "/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    text = answer.body.decode()
    assert text.endswith("\n# EOF\n")
    family, values, done = None, {}, set()
    for line in text.splitlines()[:-1]:
        if line.startswith("# TYPE "):
            family = line.split()[2]
            assert family not in done
            done.add(family)
        elif line.startswith("# "):
            assert line.split()[2] == family
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name.startswith(family)  # a family's samples stand together
            values[name, labels or ""] = float(value)
    cpu = '{uuid="%s",cpu="0"}' % vm[1]
    assert values["serai_vm_cpu_busy_ratio", cpu] == pytest.approx(0.5)
    assert values["serai_vm_disk_reads_per_second", '{uuid="%s",device="xvda"}' % vm[1]] == pytest.approx(20)
    assert values["serai_vm_disk_read_bytes_per_second", '{uuid="%s",device="xvda"}' % vm[1]] == pytest.approx(1048576 / 5)
    assert values["serai_vm_disk_read_latency_seconds", '{uuid="%s",device="xvda"}' % vm[1]] == pytest.approx(0.002)
    assert values["serai_vm_info", '{uuid="%s",name="measured"}' % vm[1]] == 1
    assert values["serai_vms", '{state="Running"}'] == 1
    buckets = [v for (n, l), v in values.items() if n.endswith("_bucket") and 'kind="read"' in l]
    assert buckets == sorted(buckets) and buckets[-1] == values["serai_api_call_duration_seconds_count", '{kind="read"}']
    before = buckets[-1]
    api.call("VM.get_all")
    again = get(daemon, api, "/metrics").body.decode()
    assert 'serai_api_call_duration_seconds_count{kind="read"} %d\n' % (before + 1) in again
    api.fails("VM.start", vm[0], False, False)
    assert re.search(r'serai_api_call_failures_total\{kind="operation"\} [1-9]', get(daemon, api, "/metrics").body.decode())


def test_a_halted_vm_and_a_restart(directory):
    daemon = conftest.Daemon(directory, *FAST).start()
    try:
        with daemon.api() as api:
            ref = api.new_vm("halts")
            stays = api.new_vm("stays")
            api.call("VM.start", ref, False, False)
            api.call("VM.start", stays, False, False)
            vm, stay = (ref, api.call("VM.get_uuid", ref)), (stays, api.call("VM.get_uuid", stays))
            get(daemon, api, "/vm_rrd", status=404, uuid=api.call("VM.get_uuid", api.new_vm("never ran")))
            rounds(daemon, api, vm, 3)
            rounds(daemon, api, stay, 3)
            api.call("VM.hard_shutdown", ref)
            until(lambda: None if ("AVERAGE", "vm", vm[1], "cpu0") in columns(table(daemon, api, interval=5)) else True)
            halted = get(daemon, api, "/vm_rrd", uuid=vm[1]).body
            assert b"<v>0.5</v>" in halted
            api.call("host.backup_rrds", api.call("host.get_all")[0], 0)
            assert (daemon.state / "rrd" / stay[1]).stat().st_size > 500
        assert daemon.stop()[0] == 0
        daemon.start()
        with daemon.api() as api:
            assert get(daemon, api, "/vm_rrd", uuid=vm[1]).body == halted
            known = [v for v in columns(rounds(daemon, api, stay, 4))["AVERAGE", "vm", stay[1], "cpu0"]
                     if not math.isnan(v)]
            assert len(known) >= 4
            # A destroyed VM has no past.
            api.call("VM.destroy", ref)
            get(daemon, api, "/vm_rrd", status=404, uuid=vm[1])
        assert daemon.stop()[0] == 0
        # A damaged file costs the past of its object, and one line.
        path = daemon.state / "rrd" / stay[1]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        daemon.start()
        assert not (daemon.state / "rrd" / vm[1]).exists()
        with daemon.api() as api:
            rounds(daemon, api, stay, 3)
        assert daemon.log_text().count("%s is damaged" % path) == 1
    finally:
        daemon.stop()
