# SPDX-License-Identifier: Apache-2.0
"""Settings for all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
from hypothesis import settings

# For `./dev fuzz`.
settings.register_profile("long", max_examples=1000, print_blob=True)


@pytest.fixture(autouse=True, scope="module")
def known_workloads():
    """Forget the workloads that the tests of a file made known."""
    from tpufi.models import WORKLOADS

    before = dict(WORKLOADS)
    yield
    WORKLOADS.clear()
    WORKLOADS.update(before)
