# SPDX-License-Identifier: Apache-2.0
# Thin: meson does the work. Every target installs what it lacks first (make deps does just that).
BUILD ?= build
JOBS  ?= 2

.PHONY: all run check deps bench lint crash fuzz install deb deb-test clean
all: $(BUILD)/build.ninja
	ninja -j$(JOBS) -C $(BUILD)

$(BUILD)/build.ninja: | deps-build
	meson setup $(BUILD)

.PHONY: deps-build deps-run deps-test deps-bench deps-deb
deps-build deps-run deps-test deps-bench deps-deb:
	@tools/deps $(@:deps-%=%)

deps: deps-run deps-test

# Build a Debian guest, start the daemon, boot the guest: the main job.
run: deps-run all
	@tools/run

# Every test: ordinary, sanitizer and thread-sanitizer builds, real clients, real guests.
check: deps-run deps-test
	@tools/test

# Figures beside the named rivals, as ratios.
bench: deps-run deps-bench all
	@bench/run; machines=$$?; bench/api/run && exit $$machines

# Processes killed at every failpoint of every operation, and at random moments; what held is added up in
# tests/vm/crash-results.json. Stop and continue at will: make crash SEED=2 RANDOM=20
SEED   ?= 1
RANDOM ?= 0
crash: deps-run deps-test
	@tools/crash --jobs $(JOBS) --seed $(SEED) --random $(RANDOM)

# One target for so long: make fuzz TARGET=xmlrpc SECONDS=600
TARGET  ?= http_head
SECONDS ?= 60
fuzz: deps-run deps-test
	@tools/fuzz $(TARGET) $(SECONDS)

# Bad clients in full numbers; make check has a part of each.
.PHONY: abuse
abuse: deps-run deps-test all
	@SERAI_ABUSE=full SERAI_BUILD=$(BUILD) /usr/bin/python3 -B -m pytest -q -p no:cacheprovider tests/api/test_abuse.py

# What machines say about the sources: format, floors, warnings, analysers.
lint: deps-test
	@tools/check

# Millions of power cuts of the disk format, added up in tests/vhd/crash-results.json; stop and continue at will.
.PHONY: crash-storage
crash-storage: all
	@tools/crash-storage --build $(BUILD) --jobs $(JOBS)

# Programs, manuals, units and configuration: make install DESTDIR=... (prefix and the like are meson's options).
install: all
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

# The Debian packages serai and serai-cli, in build-deb/.
build-deb/build.ninja: | deps-build
	meson setup build-deb -Dweb=enabled --prefix=/usr --sysconfdir=/etc --libdir=lib --buildtype=release
deb: deps-deb build-deb/build.ninja
	ninja -j$(JOBS) -C build-deb seraid serai serai-rootd serai-disk serai-vhd web/web.stamp
	packaging/build-deb build-deb build-deb/packages

# They install on a clean Debian and start there, also under its systemd (as root; packages from the network).
deb-test: deps-deb deps-run deb
	packaging/test-deb build-deb/packages build-deb/root
	packaging/test-units build-deb/packages build-deb/root

clean:
	rm -rf $(BUILD) build-*
