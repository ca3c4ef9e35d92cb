# SPDX-License-Identifier: Apache-2.0
"""What this product has beyond the XenAPI, in names of its own: the class serai, and classes that begin with serai_. The
facts of the XenAPI know nothing of them, events and listMethods show none of their records."""

Class("serai", kind="struct", async_=False,
      doc="Calls that only this product has.",
      calls=[
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
