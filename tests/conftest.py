# SPDX-License-Identifier: Apache-2.0
"""Settings for all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest


@pytest.fixture(autouse=True, scope="module")
def known_workloads():
    """Forget the workloads that the tests of a file made known."""
    from tpufi.models import WORKLOADS

    before = dict(WORKLOADS)
    yield
    WORKLOADS.clear()
    WORKLOADS.update(before)
