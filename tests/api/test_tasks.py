# SPDX-License-Identifier: Apache-2.0
"""Async calls and the tasks that clients make."""
import xml.etree.ElementTree as ET

import conftest
import facts


def test_async_answers_a_task_and_its_result(api):
    template = api.call("VM.get_by_name_label", "Other install media")[0]
    task = api.call("Async.VM.clone", template, "by a task")
    record = api.wait_task(task)
    assert record["status"] == "success" and record["progress"] == 1 and record["error_info"] == []
    assert record["name_label"] == "Async.VM.clone" and record["finished"] != "19700101T00:00:00Z"
    vm = ET.fromstring(record["result"])
    assert vm.tag == "value" and "> <" not in record["result"]
    ref = "".join(vm.itertext())
    assert api.call("VM.get_name_label", ref) == "by a task"
    assert api.call("task.get_status", task) == "success"  # it stays until it is destroyed
    api.call("task.destroy", task)
    assert api.fails("task.get_status", task).code == "HANDLE_INVALID"
    task = api.call("Async.VM_destroy", ref)  # underscore form; a void result
    assert api.wait_task(task)["result"] == ""
    api.call("task.destroy", task)


def test_async_failure_is_in_the_task(api):
    ref = facts.some_ref()
    task = api.call("Async.VM.start", ref, False, False)
    record = api.wait_task(task)
    assert record["status"] == "failure" and record["error_info"] == ["HANDLE_INVALID", "VM", ref]
    api.call("task.destroy", task)


def test_async_refuses_at_once_what_is_no_call(api):
    assert api.fails("Async.VM.start", "x").code == "MESSAGE_PARAMETER_COUNT_MISMATCH"
    assert api.fails("Async.VM.start", 1, 2, 3).code == "FIELD_TYPE_ERROR"


def test_client_made_task(api):
    task = api.call("task.create", "mine", "what for")
    record = api.call("task.get_record", task)
    assert record["status"] == "pending" and record["name_label"] == "mine"
    api.call("task_set_progress", task, 0.5)
    assert abs(api.call("task.get_progress", task) - 0.5) < 0.01
    api.call("task_set_status", task, "success")
    assert api.wait_task(task)["status"] == "success"
    api.call("task.destroy", task)


def test_refused_transfers_fail_their_task(daemon, api):
    for path, method, auth in (("/import_raw_vdi", "PUT", True), ("/export_raw_vdi", "GET", True),
                               ("/import_raw_vdi", "PUT", False)):
        task = api.call("task.create", "transfer", "")
        query = "?task_id=%s&vdi=%s" % (task, facts.some_ref())
        if auth:
            query += "&session_id=" + api.session
        with daemon.connect() as raw:
            assert raw.request(method, path + query).status == (404 if auth else 401)
        record = api.wait_task(task)
        assert record["status"] == "failure"
        assert record["error_info"][0] == ("HANDLE_INVALID" if auth else "SESSION_AUTHENTICATION_FAILED")
        api.call("task.destroy", task)


def test_unknown_format(daemon, api):
    task = api.call("task.create", "transfer", "")
    with daemon.connect() as raw:
        path = "/export_raw_vdi?session_id=%s&task_id=%s&vdi=x&format=floppy" % (api.session, task)
        assert raw.request("GET", path).status == 404
    assert api.wait_task(task)["status"] == "failure"
    api.call("task.destroy", task)


def test_endpoints_that_are_not_there_fail_the_task(daemon, api):
    for method, path in (("PUT", "/no/such/endpoint"), ("GET", "/services/xenops/memory")):
        task = api.call("task.create", "transfer", "")
        with daemon.connect() as raw:
            assert raw.request(method, "%s?session_id=%s&task_id=%s" % (path, api.session, task)).status == 404
        record = api.wait_task(task)
        assert record["status"] == "failure" and record["error_info"] == ["NOT_IMPLEMENTED", path]
        api.call("task.destroy", task)


def test_progress_is_not_stored_but_an_end_is(directory):
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        task = api.call("Async.pool.sync_database")
        assert api.wait_task(task)["progress"] == 1
        half = api.call("task.create", "half", "")
        api.call("task.set_progress", half, 0.5)
        assert api.call("task.get_progress", half) == 0.5
    daemon.stop(9)
    daemon.start()
    with daemon.api() as api:
        record = api.call("task.get_record", task)
        assert record["status"] == "success" and record["progress"] == 1
        assert api.call("task.get_status", half) == "failure" and api.call("task.get_progress", half) == 1
    assert daemon.stop()[0] == 0
