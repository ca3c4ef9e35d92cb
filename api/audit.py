# SPDX-License-Identifier: Apache-2.0
"""What the audit log records, and what it and the history never show.

A call is audited unless it is an implicit read, one that a read-only user may make, or called get_, assert_ or can_.
writes: audited all the same; reads: not audited all the same; sessions: one record afterwards instead of two; frees: they make
room on a disk, so space is kept for their records when it is full."""

AUDIT(
    writes=[
        "VM.recover", "VM_appliance.recover", "task.cancel", "task.create", "task.destroy", "task.set_error_info",
        "task.set_progress", "task.set_result", "task.set_status",
    ],
    reads=[
        "SR.assert_can_host_ha_statefile", "SR.probe", "SR.probe_ext", "VDI.list_changed_blocks", "VM.query_services",
        "host.dmesg", "host.has_extension", "pool.has_extension", "pool.test_archive_target",
        "serai.audit_verify",
    ],
    sessions=[
        "session.login_with_password", "session.slave_local_login_with_password", "session.logout",
        "session.local_logout",
    ],
    frees=[
        "SR.destroy", "SR.forget", "VBD.destroy", "VBD.unplug", "VBD.unplug_force", "VDI.data_destroy", "VDI.destroy",
        "VDI.forget", "VIF.destroy", "VM.destroy", "blob.destroy", "message.destroy", "message.destroy_many", "task.cancel",
        "task.destroy",
    ])

# Parameters and fields whose whole value is hidden (of maps, the values), and parts of names of map keys (in small letters)
# whose values are hidden wherever they are.
SECRET(
    params=[
        "VM.add_to_NVRAM.value", "VM.import.url", "VM.import_convert.password", "VM.set_NVRAM.value",
        "host.bugreport_upload.url",
        "host.install_server_certificate.private_key", "pool.configure_repository_proxy.password",
        "pool.initialize_wlb.wlb_password", "pool.initialize_wlb.xenserver_password", "pool.join.master_password",
        "pool.join_force.master_password", "pool.sync_updates.token", "session.change_password.new_pwd",
        "session.change_password.old_pwd", "session.login_with_password.pwd",
        "session.slave_local_login_with_password.pwd",
    ],
    fields=[
        "Cluster.cluster_token", "VDI.xenstore_data", "VM.NVRAM", "VM.xenstore_data", "secret.value", "serai_token.digest", "serai_recycled.content",
    ],
    keys=["pass", "pwd", "secret", "token", "private", "credential", "chap", "cookie"])
