# SPDX-License-Identifier: Apache-2.0
"""The branches of a grouped program, each compiled as a program of its own.

A grouped program takes the compiler as long as all its branches together, hours for a
deep workload, and nothing is left if it is stopped. Apart, each branch leaves a file.
"""

import collections
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tpufi.errors import InputError
from tpufi.whole_file import appearing_whole

_AT_ONCE = 2  # One at the compiler and one that is exported.


def compiled_apart(
    groups: Iterable[Sequence[int]],
    folder: pathlib.Path,
    step: dict,
    export: Callable[[Sequence[int]], bytes],
    compiled: Callable[[Sequence[int], bytes], dict],
    cut: Callable[[Sequence[int], dict], Iterable[Sequence[int]]],
) -> Iterator[tuple[Sequence[int], dict]]:
    """Yield the sites and figures of each branch, from its file or from the compiler.

    While the compiler has one branch, the next is exported.

    Args:
      groups: ids of the sites of each branch.
      folder: where each branch has its file; made if it is missing.
      step: entries that say what is compiled, and by which versions; a file of another
        step is another file.
      export: returns the module of the step with some sites.
      compiled: returns the figures of the module of some sites.
      cut: returns the branches to compile in place of one with such figures; none: it
        stays.

    Raises:
      InputError: a file is not what this function writes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left = collections.deque(groups)
    under_way: collections.deque = collections.deque()
    with ThreadPoolExecutor(1) as compiler:
        while left or under_way:
            if left:
                ids = left.popleft()
                path = folder / _name(step, ids)
                module = None if path.exists() else export(ids)
                figures = module and compiler.submit(compiled, ids, module)
                under_way.append((ids, path, figures))
            if left and len(under_way) < _AT_ONCE:
                continue
            ids, path, figures = under_way.popleft()
            found = _finished(path, figures)
            parts = tuple(cut(ids, found))
            left.extendleft(reversed(parts))
            if not parts:
                yield ids, found


def _name(step: dict, ids: Sequence[int]) -> str:
    """Return the file of a branch: what it is, and a digest of all that is in it."""
    text = json.dumps([step, list(ids)], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{step['model']}_{ids[0]}-{ids[-1]}_{digest}.json"


def _finished(path: pathlib.Path, figures: Future[dict] | None) -> dict:
    """Return the figures of a branch; new ones are in its file before."""
    if figures is not None:
        with appearing_whole(path) as scratch:
            scratch.write_text(json.dumps(figures.result(), indent=1) + "\n")
    try:
        found = json.loads(path.read_text())
        found["cycles"], found["host_transfers"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the figures of a branch ({error}); remove it"
        ) from error
    return found
