# SPDX-License-Identifier: Apache-2.0
"""Sessions, users, roles and secrets."""

Class("session", role="pool-admin", get_all=False, volatile=True, untracked=True, async_=False,
      doc="A login; its reference is the credential that every other call carries.",
      fields=[
          F("uuid", String, RO,
            doc="Unique identifier of the session, assigned once and never changed or reused."),
          F("this_host", Ref("host"), RO,
            doc="Host of the pool where the login took place."),
          F("this_user", Ref("user"), RO,
            doc="Old-style account of the session; null, as subjects stand for users."),
          F("last_active", DateTime, RO, volatile=True,
            doc="Time of the last call in this session; sessions that are idle for too long end."),
          F("pool", Bool, RO,
            doc="True for sessions between hosts of the pool rather than of a person or program."),
          F("other_config", Map(String, String), RW, default={},
            doc="Additional keys and values that clients keep with the session while it lasts."),
          F("is_local_superuser", Bool, RO, default=False,
            doc="True for the built-in administrator of the host, who may do everything."),
          F("subject", Ref("subject"), RO, default=NULL,
            doc="User or group of the directory through which access was given; null for the local "
                "administrator."),
          F("validation_time", DateTime, RO, default="19700101T00:00:00Z",
            doc="Time at which the directory last confirmed that this user may still log in."),
          F("auth_user_sid", String, RO, default="",
            doc="Identifier of the user in the directory; empty for the local administrator."),
          F("auth_user_name", String, RO, default="",
            doc="Name of the user as given at the login."),
          F("rbac_permissions", Set(String), CTOR, default=[],
            doc="Names of the calls that this session's roles permit; empty for the local administrator."),
          F("tasks", RefSet("task"), RO, volatile=True,
            doc="Unfinished tasks that were started in this session."),
          F("parent", Ref("session"), CTOR, default=NULL,
            doc="Session that this one was made from; null for ordinary logins."),
          F("originator", String, RO, default="",
            doc="Program that logged in, as it named itself; tells apart the sessions of one account."),
          F("client_certificate", Bool, RO, default=False,
            doc="True if the login was by a client certificate instead of a password."),
      ],
      calls=[
          Call("login_with_password", [P("uname", String), P("pwd", String),
               P("version", String, default=""), P("originator", String, default="")],
               result=Ref("session"), session=False, errors=["SESSION_AUTHENTICATION_FAILED",
               "HOST_IS_SLAVE"],
               doc="Log in by name and password; version and originator are notes. A pool member refers to "
                   "its coordinator."),
          Call("logout",
               doc="End this session; its reference is worthless afterwards, and its event registrations "
                   "are gone."),
          Call("change_password", [P("old_pwd", String), P("new_pwd", String)], role="nobody",
               doc="Change the local administrator's password on all hosts; refused if the old one is "
                   "wrong."),
          Call("slave_local_login_with_password", [P("uname", String), P("pwd", String)],
               result=Ref("session"), role="pool-admin", session=False,
               doc="Log in at this very host, even a pool member, for the emergency calls that it serves "
                   "itself."),
          Call("create_from_db_file", [P("filename", String)], result=Ref("session"), role="nobody",
               doc="Open a replicated database in a file as a session, in order to look into it; for "
                   "disaster recovery."),
          Call("local_logout", role="pool-admin",
               doc="End a session that was begun with slave_local_login_with_password."),
          Call("get_all_subject_identifiers", result=Set(String),
               doc="Directory identifiers of all users who are logged in at present."),
          Call("logout_subject_identifier", [P("subject_identifier", String)], role="pool-operator",
               doc="End every session of the user with this directory identifier, but not one's own."),
      ])

Class("auth", kind="struct", async_=False,
      doc="Questions to the external directory, when external authentication is enabled.",
      calls=[
          Call("get_subject_identifier", [P("subject_name", String)], result=String,
               doc="Identifier of the user or group of that name; refused if there is none."),
          Call("get_subject_information_from_identifier", [P("subject_identifier", String)],
               result=Map(String, String),
               doc="What the directory says about the user or group, as keys and values."),
          Call("get_group_membership", [P("subject_identifier", String)], result=Set(String),
               doc="Identifiers of all groups that the user or group belongs to, also through other groups."),
      ])

Class("subject", role="pool-admin", create=True,
      doc="A user or group of the external directory who may log in.",
      fields=[
          F("uuid", String, RO,
            doc="Unique identifier of the subject, assigned once and never changed or reused."),
          F("subject_identifier", String, CTOR, default="",
            doc="Identifier in the directory; it stays the same when the name changes."),
          F("other_config", Map(String, String), CTOR, default={},
            doc="What the directory said about the subject when it was added, such as its name."),
          F("roles", RefSet("role"), RO, default=["OpaqueRef:0165f154-ba3e-034e-6b27-5d271af109ba"],
            doc="Roles that say what the subject may do; stronger roles include the weaker ones."),
      ],
      calls=[
          Call("add_to_roles", [P("self", Ref("subject")), P("role", Ref("role"))],
               role="pool-admin",
               doc="Give the subject a role; refused if it has that one already. New sessions are affected."),
          Call("remove_from_roles", [P("self", Ref("subject")), P("role", Ref("role"))],
               role="pool-admin",
               doc="Take a role from the subject; refused if it does not have it."),
          Call("get_permissions_name_label", [P("self", Ref("subject"))], result=Set(String),
               doc="Names of all calls that the subject's roles permit."),
      ])

Class("role",
      doc="A set of permitted calls that subjects can be given, or a single one of them.",
      fields=[
          F("uuid", String, RO,
            doc="Unique identifier of the role, assigned once and never changed or reused."),
          F("name_label", String, CTOR, default="",
            doc="Name of the role, such as vm-operator, or of a permission, such as vm.start."),
          F("name_description", String, CTOR, default="",
            doc="What the role is meant for, in a sentence for people."),
          F("subroles", RefSet("role"), CTOR, default=[],
            doc="Roles and permissions included in this role; empty for a single permission."),
          F("is_internal", Bool, RO, default=False,
            doc="True for roles that only hosts use among themselves."),
      ],
      calls=[
          Call("get_permissions", [P("self", Ref("role"))], result=RefSet("role"),
               doc="All single permissions that the role includes, directly or through its subroles."),
          Call("get_permissions_name_label", [P("self", Ref("role"))], result=Set(String),
               doc="Names of all single permissions that the role includes."),
          Call("get_by_permission", [P("permission", Ref("role"))], result=RefSet("role"),
               doc="All roles that include this permission."),
          Call("get_by_permission_name_label", [P("label", String)], result=RefSet("role"),
               doc="All roles that include the permission of this name."),
      ])

Class("user", life="Deprecated", role="pool-admin", create=True, get_all=False, untracked=True,
      doc="An account of the old kind, before directories and roles; kept for old clients.",
      fields=[
          F("uuid", String, RO,
            doc="Unique identifier of the account, assigned once and never changed or reused."),
          F("short_name", String, CTOR,
            doc="Name that the account logs in with."),
          F("fullname", String, RW,
            doc="Name of the person behind the account."),
          F("other_config", Map(String, String), RW, default={},
            doc="Additional keys and values kept with the account for clients and for settings without a "
                "field."),
      ])

Class("secret", read="pool-operator", roles={"get_other_config": "read-only"}, create=True,
      untracked=True,
      doc="A value, such as a password, kept where other objects need only refer to it.",
      fields=[
          F("uuid", String, RO,
            doc="Unique identifier of the secret, assigned once and never changed or reused."),
          F("value", String, RW,
            doc="The protected text itself; shown only to those who may administer the pool."),
          F("other_config", Map(String, String), RW, default={},
            doc="Additional keys and values kept with the secret for clients and for settings without a "
                "field."),
      ])

EnumDef("certificate_type", [
    V("ca", doc="Belongs to an authority; certificates that it signed are trusted."),
    V("host", doc="Shown by a host to its clients."),
    V("host_internal", doc="Shown by a host to the other hosts of its pool."),
], doc="What a certificate is used for.")

Class("Certificate",
      doc="A certificate installed on a host or trusted by the whole pool.",
      fields=[
          F("uuid", String, RO,
            doc="Unique identifier of the certificate, assigned once and never changed or reused."),
          F("name", String, RO, default="",
            doc="File name of an authority's certificate; empty for certificates of hosts."),
          F("type", Enum("certificate_type"), RO, default="host",
            doc="What the certificate is used for."),
          F("host", Ref("host"), CTOR, default=NULL,
            doc="Host that the certificate belongs to; null for those of the whole pool."),
          F("not_before", DateTime, CTOR, default="19700101T00:00:00Z",
            doc="Time from which on the certificate is valid."),
          F("not_after", DateTime, CTOR, default="19700101T00:00:00Z",
            doc="Time at which the certificate expires."),
          F("fingerprint", String, CTOR, default="",
            doc="SHA-256 digest of the certificate, as hexadecimal pairs with colons."),
      ])
