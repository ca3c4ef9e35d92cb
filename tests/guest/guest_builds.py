# SPDX-License-Identifier: Apache-2.0
"""The builders of guests, run once into $SERAI_CACHE (default: .cache of the repository)."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUEST = ROOT + "/tools/guest"
CACHE = os.path.abspath(os.environ.get("SERAI_CACHE") or ROOT + "/.cache")
sys.path.insert(0, GUEST)


def build(program, *args):
    """Run a builder; returns the path that it prints."""
    outer = os.environ.get("SERAI_OUTER_NET")  # tests/jail/netns.py
    prefix = ["nsenter", "--net=" + outer] if outer else []
    p = subprocess.run(prefix + [GUEST + "/" + program] + list(args), env=dict(os.environ, SERAI_CACHE=CACHE),
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert p.returncode == 0, p.stderr
    return p.stdout.strip()
