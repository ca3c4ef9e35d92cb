# SPDX-License-Identifier: Apache-2.0
"""Provisioning services caches."""

Class("PVS_site",
      doc="",
      fields=[
          F("uuid", String, RO,
            doc=""),
          F("name_label", String, RW, default="",
            doc=""),
          F("name_description", String, RW, default="",
            doc=""),
          F("PVS_uuid", String, CTOR, default="",
            doc=""),
          F("cache_storage", RefSet("PVS_cache_storage"), RO, default=[],
            inverse="PVS_cache_storage.site",
            doc=""),
          F("servers", RefSet("PVS_server"), RO, inverse="PVS_server.site",
            doc=""),
          F("proxies", RefSet("PVS_proxy"), RO, inverse="PVS_proxy.site",
            doc=""),
      ],
      calls=[
          Call("introduce", [P("name_label", String), P("name_description", String),
               P("PVS_uuid", String)], result=Ref("PVS_site"), role="pool-operator",
               doc=""),
          Call("forget", [P("self", Ref("PVS_site"))], role="pool-operator",
               errors=["PVS_SITE_CONTAINS_RUNNING_PROXIES", "PVS_SITE_CONTAINS_SERVERS"],
               doc=""),
          Call("set_PVS_uuid", [P("self", Ref("PVS_site")), P("value", String)],
               role="pool-operator",
               doc=""),
      ])

Class("PVS_server",
      doc="",
      fields=[
          F("uuid", String, RO,
            doc=""),
          F("addresses", Set(String), CTOR, default=[],
            doc=""),
          F("first_port", Int, CTOR, default=0,
            doc=""),
          F("last_port", Int, CTOR, default=0,
            doc=""),
          F("site", Ref("PVS_site"), CTOR, default=NULL,
            doc=""),
      ],
      calls=[
          Call("introduce", [P("addresses", Set(String)), P("first_port", Int), P("last_port", Int),
               P("site", Ref("PVS_site"))], result=Ref("PVS_server"), role="pool-operator",
               doc=""),
          Call("forget", [P("self", Ref("PVS_server"))], role="pool-operator",
               doc=""),
      ])

EnumDef("pvs_proxy_status", [
    V("stopped", doc=""),
    V("initialised", doc=""),
    V("caching", doc=""),
    V("incompatible_write_cache_mode", doc=""),
    V("incompatible_protocol_version", doc=""),
], doc="")

Class("PVS_proxy",
      doc="",
      fields=[
          F("uuid", String, RO,
            doc=""),
          F("site", Ref("PVS_site"), CTOR, default=NULL,
            doc=""),
          F("VIF", Ref("VIF"), CTOR, default=NULL,
            doc=""),
          F("currently_attached", Bool, RO, default=False,
            doc=""),
          F("status", Enum("pvs_proxy_status"), RO, default="stopped",
            doc=""),
      ],
      calls=[
          Call("create", [P("site", Ref("PVS_site")), P("VIF", Ref("VIF"))],
               result=Ref("PVS_proxy"), role="pool-operator",
               doc=""),
          Call("destroy", [P("self", Ref("PVS_proxy"))], role="pool-operator",
               doc=""),
      ])

Class("PVS_cache_storage", create=True,
      doc="",
      fields=[
          F("uuid", String, RO,
            doc=""),
          F("host", Ref("host"), CTOR, default=NULL,
            doc=""),
          F("SR", Ref("SR"), CTOR, default=NULL,
            doc=""),
          F("site", Ref("PVS_site"), CTOR, default=NULL,
            doc=""),
          F("size", Int, CTOR, default=21474836480, unit="bytes",
            doc=""),
          F("VDI", Ref("VDI"), RO, default=NULL,
            doc=""),
      ])
