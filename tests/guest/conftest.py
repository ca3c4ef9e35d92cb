# SPDX-License-Identifier: Apache-2.0
"""The guests under test."""
import os

import pytest
from guest_builds import CACHE, build


@pytest.fixture(scope="session")
def tiny():
    return build("build-tiny")


@pytest.fixture(scope="session")
def null():
    return build("build-null")


@pytest.fixture(scope="session")
def debian():
    return build("build-debian") if os.environ.get("SERAI_TEST_DEBIAN") == "1" else IMAGE


IMAGE = CACHE + "/debian12.raw"


def pytest_collection_modifyitems(config, items):
    """The tests of the Debian guest are left out where its image would have to be built first: minutes and 90 MB from
    the network. `make run` leaves it in the cache."""
    if os.environ.get("SERAI_TEST_DEBIAN") == "1" or os.path.exists(IMAGE + ".json"):
        return
    out = [i for i in items if "debian" in i.fixturenames]
    config.hook.pytest_deselected(items=out)
    items[:] = [i for i in items if i not in out]
