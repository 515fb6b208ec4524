# SPDX-License-Identifier: Apache-2.0
"""Counts what was tried and what came of it, for one kind of attack or several."""

import collections
import contextlib
import dataclasses
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator

from tpufi.errors import InputError

SECONDS, MEMORY_KIB = 10.0, 1 << 20
_SHOWN = 20  # Mishandled cases that are told one by one.


class Hang(BaseException):
    """A case took too long; no `except Exception` keeps it."""


@dataclasses.dataclass
class Tally:
    """What was tried, by kind.

    Attributes:
      tried: cases.
      survived: that ended as promised.
      mishandled: that did not.
      told: what was wrong with the mishandled ones.
    """

    tried: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    mishandled: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    told: list[str] = dataclasses.field(default_factory=list)

    def note(self, kind: str, wrong: str | None, count: int = 1) -> None:
        """Note cases of a kind; `wrong` says what was mishandled, None: nothing."""
        self.tried[kind] += count
        if wrong is not None:
            self.mishandled[kind] += 1
            self.told.append(f"{kind}: {wrong}")
            print(f"MISHANDLED {kind}: {wrong}", file=sys.stderr, flush=True)

    def add(self, other: "Tally") -> None:
        """Add what another process noted, and has told."""
        self.tried += other.tried
        self.mishandled += other.mishandled
        self.told += other.told

    def table(self) -> Iterator[str]:
        """Yield the counts as lines, a row for each kind."""
        width = max(map(len, self.tried), default=4)
        yield f"{'kind':{width}}  {'tried':>7}  {'survived':>8}  {'mishandled':>10}"
        for kind, tried in sorted(self.tried.items()):
            bad = self.mishandled[kind]
            yield f"{kind:{width}}  {tried:7}  {tried - bad:8}  {bad:10}"
        bad, tried = self.mishandled.total(), self.tried.total()
        yield f"{'all':{width}}  {tried:7}  {tried - bad:8}  {bad:10}"


def one_line(call: Callable[[], object]) -> str | None:
    """Return what is wrong with a call that may end in one printable line only.

    It may take 10 seconds of a processor and 1 GiB more than before.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with _timed():
            call()
    except InputError as error:
        message = str(error)
        if len(message.splitlines()) != 1 or not message.isprintable():
            return f"message {message!r:.200}"
        if len(message) > 2000:
            return f"message of {len(message)} characters: {message!r:.80}"
    except Hang:
        return f"over {SECONDS:g} s"
    except BaseException as error:  # noqa: BLE001 - that is what is looked for.
        return f"{type(error).__name__}: {error!s:.200}"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return f"{grown >> 10} MiB more" if grown > MEMORY_KIB else None


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    """Raise `Hang` after so many seconds of this process's processors."""

    def hang(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, hang)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def until(seconds: float) -> Iterator[int]:
    """Yield 0, 1, 2, ... at least once, until so many seconds are over."""
    end, number = time.monotonic() + seconds, 0
    while number == 0 or time.monotonic() < end:
        yield number
        number += 1
