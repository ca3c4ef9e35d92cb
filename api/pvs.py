# SPDX-License-Identifier: Apache-2.0
"""Provisioning services caches."""

Class("PVS_site",
      doc="Provisioning servers that serve the same disks, and the caches for them.",
      fields=[
          F("uuid", String, RO,
            doc="Identifier of the site in this pool, unique and constant."),
          F("name_label", String, RW, default="",
            doc="Name shown to people; several sites may share it."),
          F("name_description", String, RW, default="",
            doc="Free text about the site, for people to read."),
          F("PVS_uuid", String, CTOR, default="",
            doc="Identifier that the provisioning servers use for the site; empty until it is known."),
          F("cache_storage", RefSet("PVS_cache_storage"), RO, default=[],
            inverse="PVS_cache_storage.site",
            doc="Places on the hosts where the site's data is cached."),
          F("servers", RefSet("PVS_server"), RO, inverse="PVS_server.site",
            doc="Provisioning servers of the site."),
          F("proxies", RefSet("PVS_proxy"), RO, inverse="PVS_proxy.site",
            doc="Virtual interfaces whose traffic with the site is cached."),
      ],
      calls=[
          Call("introduce", [P("name_label", String), P("name_description", String),
               P("PVS_uuid", String)], result=Ref("PVS_site"), role="pool-operator",
               doc="Make a site known; the servers' identifier may be left empty and set later."),
          Call("forget", [P("self", Ref("PVS_site"))], role="pool-operator",
               errors=["PVS_SITE_CONTAINS_RUNNING_PROXIES", "PVS_SITE_CONTAINS_SERVERS"],
               doc="Remove the site; refused while it has servers or running proxies."),
          Call("set_PVS_uuid", [P("self", Ref("PVS_site")), P("value", String)],
               role="pool-operator",
               doc="Set the identifier that the provisioning servers use for the site."),
      ])

Class("PVS_server",
      doc="A provisioning server, as the caches on the hosts have to know it.",
      fields=[
          F("uuid", String, RO,
            doc="Identifier of the server in this pool, unique and constant."),
          F("addresses", Set(String), CTOR, default=[],
            doc="IPv4 addresses of the server."),
          F("first_port", Int, CTOR, default=0,
            doc="First UDP port that the server answers on."),
          F("last_port", Int, CTOR, default=0,
            doc="Last UDP port that the server answers on."),
          F("site", Ref("PVS_site"), CTOR, default=NULL,
            doc="Site that the server belongs to."),
      ],
      calls=[
          Call("introduce", [P("addresses", Set(String)), P("first_port", Int), P("last_port", Int),
               P("site", Ref("PVS_site"))], result=Ref("PVS_server"), role="pool-operator",
               doc="Make a server known; refused for bad addresses, and for ports that are out of order."),
          Call("forget", [P("self", Ref("PVS_server"))], role="pool-operator",
               doc="Remove the server from its site; caches no longer recognize its traffic."),
      ])

EnumDef("pvs_proxy_status", [
    V("stopped", doc="The cache does not work, for instance because the machine does not run."),
    V("initialised", doc="The cache is ready, but no traffic with a server has been seen."),
    V("caching", doc="Blocks are being answered from the cache."),
    V("incompatible_write_cache_mode", doc="The cache is idle because the disk's write cache mode does not "
                                           "allow it."),
    V("incompatible_protocol_version", doc="The cache is idle because the server speaks an unknown version."),
], doc="What the cache for one machine is doing.")

Class("PVS_proxy",
      doc="A cache between one machine's network interface and its provisioning servers.",
      fields=[
          F("uuid", String, RO,
            doc="Identifier of the proxy, unique and constant."),
          F("site", Ref("PVS_site"), CTOR, default=NULL,
            doc="Site whose servers the machine boots from."),
          F("VIF", Ref("VIF"), CTOR, default=NULL,
            doc="Interface that the machine boots through; the first of the machine."),
          F("currently_attached", Bool, RO, default=False,
            doc="True while the proxy is set up on the machine's host."),
          F("status", Enum("pvs_proxy_status"), RO, default="stopped",
            doc="What the cache is doing at present."),
      ],
      calls=[
          Call("create", [P("site", Ref("PVS_site")), P("VIF", Ref("VIF"))],
               result=Ref("PVS_proxy"), role="pool-operator",
               doc="Cache a machine's traffic with the site; refused when the interface has a proxy or is "
                   "not the first."),
          Call("destroy", [P("self", Ref("PVS_proxy"))], role="pool-operator",
               doc="Stop caching and remove the proxy; the machine then talks to its servers directly."),
      ])

Class("PVS_cache_storage", create=True,
      doc="Place on one host where blocks of a site's disks are cached.",
      fields=[
          F("uuid", String, RO,
            doc="Identifier of this object, unique and constant."),
          F("host", Ref("host"), CTOR, default=NULL,
            doc="Host that caches here."),
          F("SR", Ref("SR"), CTOR, default=NULL,
            doc="Storage repository that the cache lies on."),
          F("site", Ref("PVS_site"), CTOR, default=NULL,
            doc="Site whose blocks are cached; a host has one place for each site."),
          F("size", Int, CTOR, default=21474836480, unit="bytes",
            doc="Size of the cache in bytes."),
          F("VDI", Ref("VDI"), RO, default=NULL,
            doc="Disk made for the cache while it is needed; otherwise null."),
      ])
