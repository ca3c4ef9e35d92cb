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
    image = CACHE + "/debian12.raw"
    if os.environ.get("SERAI_TEST_DEBIAN") == "1":
        return build("build-debian")
    if not os.path.exists(image + ".json"):
        pytest.skip("no Debian image in the cache: SERAI_TEST_DEBIAN=1 builds it")
    return image
