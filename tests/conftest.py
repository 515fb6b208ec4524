# SPDX-License-Identifier: Apache-2.0
"""Settings for all tests."""

import collections
import ctypes
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests compile many small programs and run each a few times.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# TensorFlow keeps what it allocates for oneDNN, 1.3 GiB after a few steps of ResNet-18.
os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")

import pytest
from hypothesis import settings

# Names of malloc.h. TensorFlow's many threads share two heaps, and an array of 1 MiB or
# more goes back to the system when it is freed, which a hole in a heap never does.
_ARENA_MAX, _MMAP_THRESHOLD = -8, -3
ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)
ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 20)

# By worker, in GiB.
_PEAKS: dict[str, float] = {}
# After the last release of programs, in GiB, and how much more calls for another one.
_RESIDENT = pytest.StashKey[float]()
_GROWTH = 0.25

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
        items[:] = _large_first([item for item in items if item.path in chosen])
    if "ONEDNN_MAX_CPU_ISA" in os.environ:
        from tests.onednn import skip_forbidden

        skip_forbidden(items)


def _large_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests of large files first, then those of files with many tests."""
    tests = collections.Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[bool, int, pathlib.Path]:
        small = item.get_closest_marker("large") is None
        return small, -tests[item.path], item.path

    return sorted(items, key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """After a file's last test, forget its settings and free its programs.

    Training steps that are no longer used go after the test that made memory grow.
    """
    result = yield
    from tests import memory

    stash = item.session.stash
    if nextitem is None or nextitem.path != item.path:
        memory.forget_determinism()
        memory.clear_caches()
        memory.release_programs()
        stash[_RESIDENT] = memory.resident_gib()
    elif memory.resident_gib() > stash.get(_RESIDENT, 0) + _GROWTH:
        memory.release_steps()
        stash[_RESIDENT] = memory.resident_gib()
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
