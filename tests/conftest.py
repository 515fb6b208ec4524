# SPDX-License-Identifier: Apache-2.0
"""Settings for all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests compile many small programs and run each a few times.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import pytest
from hypothesis import settings

# By worker, in GiB.
_PEAKS: dict[str, float] = {}

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


def pytest_addoption(parser):
    """Add --part."""
    parser.addoption(
        "--part", help="K/N: every N-th test file from the K-th on, e.g. 1/2"
    )


def pytest_collection_modifyitems(config, items):
    """Keep the part that is asked for; skip what a setting of oneDNN forbids."""
    if part := config.getoption("part"):
        first, parts = map(int, part.split("/"))
        files = sorted({item.path for item in items})
        chosen = set(files[first - 1 :: parts])
        config.hook.pytest_deselected(items=[i for i in items if i.path not in chosen])
        items[:] = [item for item in items if item.path in chosen]
    if "ONEDNN_MAX_CPU_ISA" in os.environ:
        from tests.onednn import skip_forbidden

        skip_forbidden(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """After the last test of a file, forget its settings and free its programs."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        from tests.memory import clear_caches, forget_determinism, release_programs

        forget_determinism()
        clear_caches()
        release_programs()
    return result


def pytest_sessionfinish(session):
    """Let a worker tell how much memory it took."""
    from tests.memory import peak_gib

    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["peak_gib"] = peak_gib()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Keep what a worker told; only pytest-xdist calls this."""
    if "peak_gib" in getattr(node, "workeroutput", {}):
        _PEAKS[node.gateway.id] = node.workeroutput["peak_gib"]


def pytest_terminal_summary(terminalreporter):
    """Print the most memory that each process of the run has held."""
    from tests.memory import peak_gib

    for worker, peak in sorted((_PEAKS or {"main": peak_gib()}).items()):
        terminalreporter.write_line(f"peak memory of worker {worker}: {peak:.1f} GiB")
