# SPDX-License-Identifier: Apache-2.0
"""What this product has beyond the XenAPI, in names of its own: the class serai, and classes that begin with serai_. The
facts of the XenAPI know nothing of them, events and listMethods show none of their records."""

Class("serai", kind="struct", async_=False,
      doc="Calls that only this product has.",
      calls=[
          Call("explain", [P("code", String), P("params", Set(String), default=[])], result=Map(String, String),
               doc="An error in words: sentence, and where there is one the command that helps. The parameters are those "
                   "that came with the code."),
          Call("audit_verify", result=Map(String, String), role="pool-operator",
               doc="Check that the audit log is whole: whole (true or false), problem, records, head (the newest record), "
                   "report (the same in words)."),
          Call("get_history",
               [P("class", String), P("object", String, default=""), P("since", String, default=""),
                P("until", String, default=""), P("limit", Int, default=100)],
               result=AnyRecord, raw=True, errors=["INVALID_VALUE"],
               doc="What changed, newest first: change (its number), time, kind (create, modify, destroy), class, ref, uuid, "
                   "name, user, call, task, changes (field -> old and new). An object is given by reference, uuid or name "
                   "and may be gone; without one, all of the class, and without a class, all but tasks."),
          Call("get_record_at", [P("class", String), P("object", String), P("time", String)], result=AnyRecord,
               raw=True, errors=["INVALID_VALUE"],
               doc="The record of an object as it was at a moment. What is not stored, such as metrics, has its default."),
          Call("get_all_records_at", [P("class", String), P("time", String)], result=AnyRecord, raw=True,
               errors=["INVALID_VALUE"],
               doc="The records of all objects that a class had at a moment, by reference."),
          Call("get_differences",
               [P("class", String), P("object", String), P("from", String), P("to", String, default="")],
               result=AnyRecord, raw=True, errors=["INVALID_VALUE"],
               doc="What is different between two moments: class, ref, uuid, name, kind (create, modify, destroy), changes "
                   "(field -> old and new). One object, all of a class, or all but tasks."),
          Call("get_blame", [P("class", String), P("object", String), P("field", String, default="")],
               result=AnyRecord, raw=True, errors=["INVALID_VALUE"],
               doc="Who gave each field of an object the value that it has: field, value, time, user, call, task, change. "
                   "A field whose last change is older than the history is left out."),
          Call("undo", [P("change", Int), P("field", String, default="")], result=Set(String), role="vm-operator",
               errors=["INVALID_VALUE", "OPERATION_NOT_ALLOWED"],
               doc="Take back a change of configuration, whole or of one field, by the calls that set its fields, as the "
                   "caller; answers those calls. Refused when a field has changed since or no call sets it."),
          Call("recycle_restore", [P("item", String)], result=String, role="vm-admin", errors=["INVALID_VALUE"],
               doc="Bring a destroyed VM (with those of its disks that are kept) or disk back, as it was and with its UUID, which "
                   "is answered. The item is a serai_recycled's UUID, the object's, or a name that only one has."),
          Call("recycle_empty", [P("item", String, default="")], role="vm-admin", errors=["INVALID_VALUE"],
               doc="Give up an item of the recycle bin for good, or all of them."),
          Call("get_storage_debt", [P("sr", Ref("SR"))], result=Map(String, String), role="read-only",
               doc="What the collector has still to do: waiting (volumes that are no disk's any more), mergeable (of these, those "
                   "that can go now), bytes (which they hold), running (true or false), merges and freed (done since the "
                   "start, and the bytes given back), problem (why the last attempt failed; empty), recycled and "
                   "recycled_bytes (disks in the bin and their sizes)."),
          Call("role_create", [P("name", String), P("description", String), P("base", Set(String)),
               P("allow", Set(String)), P("deny", Set(String))], result=Ref("role"), role="pool-admin",
               errors=["ROLE_ALREADY_EXISTS", "ROLE_NOT_FOUND", "INVALID_VALUE"],
               doc="Make a role: what the base roles permit and the allow list adds, without what the deny list takes "
                   "away. An entry of a list is a permission, such as vm.start or "
                   "vm.add_to_other_config/key:folder, or a beginning of one and a star. Denial wins."),
          Call("role_destroy", [P("role", Ref("role"))], role="pool-admin",
               doc="Take a role that was made with role_create from everybody who has it; whoever is logged in with "
                   "it may do no more by it."),
          Call("token_create", [P("name", String), P("role", Ref("role")), P("expires", DateTime),
               P("methods", Set(String)), P("objects", Set(String))], result=String, role="pool-admin",
               errors=["INVALID_VALUE"],
               doc="Make an API token, the password of a user with its name, and answer it, this once: only its digest "
                   "is kept. It may do what its role permits; of that only the methods listed, and only with the "
                   "objects listed, unless these lists are empty. A date of 19700101T00:00:00Z is no end."),
          Call("token_revoke", [P("token", Ref("serai_token"))], role="pool-admin",
               doc="Forget an API token and end every session that was begun with it."),
      ])

Class("serai_recycled", role="nobody", read="read-only", untracked=True, async_=False, roles={"get_content": "nobody"},
      doc="A destroyed VM or disk that can be brought back: other_config:recycle-hours of the repository or the pool says how "
          "long.",
      fields=[
          F("uuid", String, RO, doc="Unique identifier, assigned once and never changed or reused."),
          F("kind", String, CTOR, doc="VM or VDI."),
          F("name_label", String, CTOR, default="", doc="Name that it had."),
          F("object_uuid", String, CTOR, doc="UUID that it had, and will have again."),
          F("sr_uuid", String, CTOR, default="", doc="UUID of the disk's storage repository; empty for a VM."),
          F("volume", String, CTOR, default="", doc="Volume of the disk."),
          F("size", Int, CTOR, default=0, unit="bytes", doc="Size of the disk, in bytes."),
          F("disks", Set(String), CTOR, default=[], doc="UUIDs of the VM's disks."),
          F("user", String, CTOR, default="", doc="Who destroyed it."),
          F("destroyed", DateTime, CTOR, doc="When."),
          F("expires", DateTime, CTOR, doc="Time from which on it may be gone for good."),
          F("content", String, CTOR, default="", doc="Its description; not shown."),
      ])

Class("serai_cbt", role="nobody", read="nobody", untracked=True, async_=False,
      doc="Which log has what changed in a disk until a snapshot of it was made.",
      fields=[
          F("uuid", String, RO, doc="Unique identifier, assigned once and never changed or reused."),
          F("vdi", String, CTOR, doc="UUID of the snapshot."),
          F("log", String, CTOR, doc="Name of the log: that of the volume which was written to until then."),
      ])

Class("serai_role", role="nobody", read="read-only", untracked=True, async_=False,
      doc="What a role made with serai.role_create means.",
      fields=[
          F("uuid", String, RO, doc="Unique identifier, assigned once and never changed or reused."),
          F("role", Ref("role"), CTOR, doc="The role that subjects and tokens are given."),
          F("base", Set(String), CTOR, default=[], doc="Names of the fixed roles that it begins with."),
          F("allow", Set(String), CTOR, default=[], doc="Permissions that it adds to those."),
          F("deny", Set(String), CTOR, default=[], doc="Permissions that it takes away, whatever gives them."),
      ])

Class("serai_token", role="nobody", read="pool-admin", untracked=True, async_=False, roles={"get_digest": "nobody"},
      doc="A password for a program, with an end and with limits.",
      fields=[
          F("uuid", String, RO, doc="Unique identifier, assigned once and never changed or reused."),
          F("name_label", String, CTOR, doc="The user name to log in with."),
          F("digest", String, CTOR, default="", doc="SHA-256 of the token; not shown."),
          F("role", Ref("role"), CTOR, doc="What sessions begun with it may do at most."),
          F("methods", Set(String), CTOR, default=[],
            doc="Permissions, as in roles, that it is limited to; empty for all of the role's."),
          F("objects", Set(String), CTOR, default=[],
            doc="References of the objects that it is limited to; empty for all."),
          F("created", DateTime, CTOR, doc="Time at which it was made."),
          F("created_by", String, CTOR, default="", doc="Name of the user who made it."),
          F("expires", DateTime, CTOR, default="19700101T00:00:00Z",
            doc="Time from which on it is worthless, also for sessions that were begun before; the epoch for never."),
          F("last_used", DateTime, RO, volatile=True, doc="Time of the last login with it since the daemon started."),
      ])
