# SPDX-License-Identifier: Apache-2.0
"""A private apt for the guest image builders: resolves and downloads Debian 12 packages into a cache directory.

It reads the host's own package sources and network settings, so nothing here names a mirror, and it never touches
the host's apt state: any user may run it. Only entries of Debian itself are used, and only archives signed by
Debian's archive keys are believed.
"""
import contextlib
import fcntl
import glob
import hashlib
import os
import re
import subprocess
import time

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = ("bookworm", "bookworm-updates", "bookworm-security")
MAX_AGE_S = 7 * 86400


class RepoError(Exception):
    """One sentence for the user."""


class Source:
    """One archive and suite. components: those of the host's entry, in its order."""

    def __init__(self, uri, suite, components):
        self.uri, self.suite, self.components = uri, suite, components

    def line(self, with_user=True):
        uri = self.uri if with_user else re.sub(r"://[^/@]*@", "://", self.uri)
        return "deb [signed-by=%s] %s %s %s\n" % (KEYRING, uri, self.suite, " ".join(self.components))


def _deb822_stanzas(text):
    """Yield the fields of each stanza, names in lower case, continuation lines joined by blanks."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields, name = {}, None
        for line in block.split("\n"):
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                if name:
                    fields[name] += " " + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def _from_deb822(text):
    for f in _deb822_stanzas(text):
        if f.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in f.get("types", "").split():
            continue
        archs = f.get("architectures", "amd64").replace(",", " ").split()
        for uri in f.get("uris", "").split():
            for suite in f.get("suites", "").split():
                yield uri, suite, f.get("components", "").split(), f.get("signed-by", ""), archs


def _from_one_line(text):
    for line in text.split("\n"):
        m = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)", line)
        if not m:
            continue
        opts = dict(o.split("=", 1) for o in (m.group(1) or "").split() if "=" in o)
        yield (m.group(2), m.group(3), m.group(4).split(), opts.get("signed-by", ""),
               opts.get("arch", "amd64").split(","))


def _is_foreign(uri, suite):
    """True where the host's own copy of the archive's release file says that it is not Debian."""
    name = re.sub(r"^[a-z+]+://(?:[^/@]*@)?", "", uri).rstrip("/").replace("/", "_")
    for path in glob.glob("/var/lib/apt/lists/%s_dists_%s_*Release" % (glob.escape(name), suite)):
        with open(path, encoding="utf-8", errors="replace") as f:
            head = f.read(4096)
        if not re.search(r"^Origin: Debian$", head, re.M):
            return True
    return False


def parse_sources(files):
    """The Debian 12 entries of [(name, text)]: name decides the format by its suffix."""
    found = {}
    for name, text in files:
        entries = _from_deb822(text) if name.endswith(".sources") else _from_one_line(text)
        for uri, suite, components, signed_by, archs in entries:
            key = os.path.basename(signed_by)
            if suite not in SUITES or "main" not in components or "amd64" not in archs:
                continue
            if signed_by and not key.startswith("debian-archive-"):
                continue
            if uri.startswith("cdrom:") or _is_foreign(uri, suite):
                continue
            old = found.setdefault((uri.rstrip("/"), suite), Source(uri.rstrip("/"), suite, []))
            old.components += [c for c in components if c not in old.components]
    return list(found.values())


def host_sources(etc="/etc/apt"):
    """The host's entries of Debian 12."""
    paths = [etc + "/sources.list"] + sorted(glob.glob(etc + "/sources.list.d/*.list")
                                             + glob.glob(etc + "/sources.list.d/*.sources"))
    files = []
    for path in paths:
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as f:
            files.append((path, f.read()))
    sources = parse_sources(files)
    if not any(s.suite == SUITES[0] for s in sources):
        raise RepoError("no package source of Debian 12 (bookworm, component main) stands in %s" % etc)
    return sources


def _host_network_settings():
    """The host's proxy, TLS and retry settings as lines of an apt.conf."""
    dump = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE, text=True, check=True).stdout
    keep = re.compile(r"Acquire::(http|https|ftp|tor|proxy|retries|forceipv[46]|check-valid-until|check-date"
                      r"|by-hash|socks)", re.I)
    return "".join(line + "\n" for line in dump.split("\n") if keep.match(line) and not line.endswith('"";'))


class Repo:
    """A private apt state below `cache`. Use as a context manager: it holds the cache's lock."""

    def __init__(self, cache, log=None):
        self.dir = os.path.join(os.path.abspath(cache), "apt")
        self.archives = self.dir + "/cache/archives"
        self.lists = self.dir + "/state/lists"
        self.log = log
        self.lock = None
        self.sources = []

    def __enter__(self):
        for d in (self.archives + "/partial", self.lists + "/partial"):
            os.makedirs(d, exist_ok=True)
        self.lock = open(self.dir + "/lock", "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.sources = host_sources()
        self._write_private("apt.conf", self._conf())
        with open(self.dir + "/status", "a", encoding="ascii"):
            pass
        return self

    def __exit__(self, *exc):
        self.lock.close()

    def _write_private(self, name, text):
        fd = os.open(self.dir + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as f:
            f.write(text)

    def _conf(self):
        d = self.dir
        return _host_network_settings() + "".join('%s "%s";\n' % kv for kv in (
            ("Dir::State", d + "/state"), ("Dir::State::status", d + "/status"), ("Dir::Cache", d + "/cache"),
            ("Dir::Etc::sourcelist", d + "/sources.list"), ("Dir::Etc::sourceparts", "/dev/null"),
            ("Dir::Etc::main", "/dev/null"), ("Dir::Etc::parts", "/dev/null"),
            ("Dir::Etc::preferences", "/dev/null"), ("Dir::Etc::preferencesparts", "/dev/null"),
            ("Dir::Etc::trusted", KEYRING), ("Dir::Etc::trustedparts", "/dev/null"),
            ("Dir::Log", d), ("APT::Architecture", "amd64"), ("APT::Architectures", "amd64"),
            ("APT::Install-Recommends", "false"), ("APT::Sandbox::User", ""), ("Acquire::Languages", "none"),
            ("APT::Get::Assume-Yes", "true")))

    def _apt(self, args, cwd=None):
        env = dict(os.environ, APT_CONFIG=self.dir + "/apt.conf", LC_ALL="C.UTF-8")
        p = subprocess.run(["apt-get"] + args, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
        if self.log:
            self.log.write("$ apt-get %s\n%s" % (" ".join(args), p.stdout))
            self.log.flush()
        if p.returncode:
            errors = [line[3:] for line in p.stdout.split("\n") if line.startswith("E: ")]
            raise RepoError("apt-get %s failed: %s" % (args[0], (errors or ["see the log"])[0]))
        return p.stdout

    def update(self):
        """Fetch the package lists unless those at hand are of the same sources and young enough. An update that
        fails is no error while older lists are at hand."""
        text = "".join(s.line() for s in self.sources)
        stamp = self.dir + "/updated"
        try:
            with open(self.dir + "/sources.list", encoding="utf-8") as f:
                same = f.read() == text
            if same and time.time() - os.stat(stamp).st_mtime < MAX_AGE_S:
                return
        except OSError:
            same = False
        self._write_private("sources.list", text)
        try:
            self._apt(["update", "--error-on=any"])
        except RepoError:
            if not (same and os.path.exists(stamp)):
                with contextlib.suppress(OSError):
                    os.unlink(self.dir + "/sources.list")
                raise
            return
        with open(stamp, "w", encoding="ascii"):
            pass

    def resolve(self, packages):
        """{package: version} of everything an empty system needs for `packages`."""
        out = self._apt(["--simulate", "install"] + packages)
        return dict(re.findall(r"^Inst (\S+) \((\S+) ", out, re.M))

    def download(self, packages):
        """Bring the archives of resolve(packages) into self.archives."""
        self._apt(["install", "--download-only"] + packages)

    def fetch(self, packages):
        """The paths of these packages' archives, without what they depend on, downloaded where need be."""
        names = {}
        for line in self._apt(["download", "--print-uris"] + packages).split("\n"):
            m = re.match(r"'[^']*' (([^ _]+)_\S+) ", line)
            if m:
                names[m.group(2)] = m.group(1)
        if set(names) != set(packages):
            raise RepoError("apt does not know the archives of %s" % ", ".join(sorted(set(packages) - set(names))))
        paths = [os.path.join(self.archives, names[p]) for p in packages]
        missing = [p for p, path in zip(packages, paths) if not os.path.exists(path)]
        if missing:
            self._apt(["download"] + missing, cwd=self.archives)
        return paths


def digest(*parts):
    """A short key over strings and {name: version} maps."""
    h = hashlib.sha256()
    for p in parts:
        text = p if isinstance(p, str) else "".join("%s=%s\n" % kv for kv in sorted(p.items()))
        h.update(b"%d:" % len(text.encode()) + text.encode())
    return h.hexdigest()[:16]
