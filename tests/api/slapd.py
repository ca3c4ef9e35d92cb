# SPDX-License-Identifier: Apache-2.0
"""Debian's slapd with a directory of its own, on a unix socket and on a port of loopback that the kernel picks."""
import os
import pathlib
import socket
import subprocess
import threading
import time

CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {dir}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {dir}/cert.pem
TLSCertificateKeyFile {dir}/key.pem
database mdb
maxsize 10485760
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw adminpw
directory {dir}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=example,dc=com" read by anonymous auth by * none
"""

ENTRIES = """dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=reader,dc=example,dc=com
objectClass: person
cn: reader
sn: reader
userPassword: read it

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann (the *first*) \\ One
sn: One
displayName: Ann One
mail: ann@example.com
userPassword: ann's word

dn: uid=bob,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Two
userPassword: bob's word

dn: uid=eve,dc=example,dc=com
objectClass: inetOrgPerson
uid: eve
cn: Eve
sn: Three
userPassword: eve's word

dn: cn=operators,dc=example,dc=com
objectClass: groupOfNames
cn: operators
member: uid=bob,dc=example,dc=com

dn: cn=everybody (all),dc=example,dc=com
objectClass: groupOfNames
cn: everybody (all)
member: cn=operators,dc=example,dc=com
member: cn=circle,dc=example,dc=com

dn: cn=circle,dc=example,dc=com
objectClass: groupOfNames
cn: circle
member: cn=everybody (all),dc=example,dc=com
"""


class Slapd:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        (self.dir / "db").mkdir(mode=0o700)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                        str(self.dir / "key.pem"), "-out", str(self.dir / "cert.pem")], check=True, capture_output=True)
        self.conf = self.dir / "slapd.conf"
        self.conf.write_text(CONF.format(dir=self.dir))
        self.tool("slapadd", "-l", "/dev/stdin", text=ENTRIES)
        self.uri = "ldapi://" + str(self.dir / "sock").replace("/", "%2f")
        self.process = self.reader = None

    def tool(self, name, *args, text=None):
        done = subprocess.run(["/usr/sbin/" + name, "-f", str(self.conf), *args], input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/slapd", "-f", str(self.conf), "-d", "256", "-h",
                                         self.uri + " ldap://127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "slapd starting" in line:
                # It goes on to say what it does, and would stop when nobody reads.
                self.reader = threading.Thread(target=self.process.stderr.read)
                self.reader.start()
                self.wait_for(socket.AF_UNIX, str(self.dir / "sock"))
                self.wait_for(socket.AF_INET, ("127.0.0.1", self.port()))
                return self
        raise AssertionError("slapd did not start")

    @staticmethod
    def wait_for(family, address):
        """It says that it starts a moment before it listens."""
        until = time.monotonic() + 60
        while True:
            with socket.socket(family) as s:
                try:
                    s.connect(address)
                    return
                except (ConnectionRefusedError, FileNotFoundError):
                    assert time.monotonic() < until, "slapd does not listen"
                    time.sleep(0.01)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.reader.join()
            self.process.stderr.close()
        self.process = None

    def port(self):
        """What the kernel gave it."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            inodes = set()
            for fd in os.listdir("/proc/%d/fd" % self.process.pid):
                try:
                    link = os.readlink("/proc/%d/fd/%s" % (self.process.pid, fd))
                except FileNotFoundError:
                    continue
                inodes.add(link[8:-1] if link.startswith("socket:[") else "")
            for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and words[9] in inodes:
                    return int(words[1].split(":")[1], 16)
            time.sleep(0.01)
        raise AssertionError("slapd listens nowhere")

    def modify(self, ldif):
        """By the tool that needs no server running."""
        self.stop()
        self.tool("slapmodify", "-l", "/dev/stdin", text=ldif)
        self.start()
