# SPDX-License-Identifier: Apache-2.0
"""Random faults in random programs: the log against the bits that came out."""

import multiprocessing
import os
import random
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from tests.memory import release_programs
from tools.attacks.program_check import Injected, ProgramCheck
from tools.attacks.random_program import (
    COLUMNS,
    DTYPES,
    ROWS,
    RandomProgram,
    random_array,
)
from tools.attacks.tally import Tally, until

import tpufi
from tpufi.element import width_of
from tpufi.instrument import Instrumented, Run, SiteFault

_RUNS, _THREADS = 24, 4
_KEPT = 16  # Programs that are kept; TensorFlow forgets none by itself.
_COMPILED = 4  # One program of so many, since XLA compiles each signature.


def attack(tally: Tally, seconds: float, seed: int) -> None:
    """Inject into programs until the time is over, in a process for each core."""
    processes = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        parts = [
            pool.submit(_attacked, seconds, seed, first, processes)
            for first in range(processes)
        ]
        for part in parts:
            tally.add(part.result())


def _attacked(seconds: float, seed: int, first: int, step: int) -> Tally:
    """Return what came of every `step`-th program from the first on."""
    warnings.simplefilter("ignore")  # Threads share them.
    tally, dtypes = Tally(), list(DTYPES)
    for turn in until(seconds):
        number = first + turn * step
        rng = random.Random(f"programs {seed} {number}")
        compiled = number % _COMPILED == _COMPILED - 1
        dtype = dtypes[number % len(dtypes)]
        program = RandomProgram(rng, dtype, 2 if compiled else 4)
        kind = "faults, compiled" if compiled else "faults"
        told = f"program {number} of seed {seed}, {dtype}"
        try:
            _one(program, rng, compiled, kind, told, tally)
        except Exception as error:  # noqa: BLE001 - that is what is looked for.
            tally.note(kind, f"{told}: {type(error).__name__}: {error!s:.300}")
        if turn % _KEPT == _KEPT - 1:
            release_programs()
    return tally


def _one(
    program: RandomProgram,
    rng: random.Random,
    compiled: bool,
    kind: str,
    told: str,
    tally: Tally,
) -> None:
    # Traces of two shapes, and of a program with a step less.
    traces = [(ROWS, 0), (ROWS + 1, 0)]
    if len(program.steps) > 1 and program.numbers(1):
        traces.append((ROWS, 1))
    fi = tpufi.instrument(
        program, sites=[{"name": "*_op*"}], jit_compile=True if compiled else None
    )
    subjects = [_Subject(program, fi, rng, *trace) for trace in traces]
    if not all(subject.runs(compiled) for subject in subjects):
        return  # TensorFlow has no kernel for it.
    tally.note(kind.replace("faults", "programs"), None)
    if subjects[0].ids != subjects[1].ids:
        tally.note(kind, f"{told}: other ids in a trace of another shape")
    for number in range(_RUNS):
        subject = subjects[number % len(subjects)]
        faults = subject.draw(rng, compiled)
        wrong = subject.wrong(faults, "block" if number % 3 == 2 else "run")
        tally.note(kind, wrong and f"{told}, run {number}: {wrong}", len(faults))
    for site in sorted({*subjects[0].ids.values()} - {*subjects[-1].ids.values()}):
        tally.note(f"{kind}, other trace", subjects[-1].wrong_unless_refused(site))
    drawn = [
        (subjects[n % len(subjects)], subjects[n % len(subjects)].draw(rng, compiled))
        for n in range(3 * _THREADS)
    ]
    with ThreadPoolExecutor(_THREADS) as threads:
        found = threads.map(lambda one: one[0].wrong(one[1], "block"), drawn)
        for (_, faults), wrong in zip(drawn, found, strict=True):
            tally.note(f"{kind}, threads", wrong and f"{told}: {wrong}", len(faults))


class _Subject:
    """One signature of a program."""

    def __init__(
        self,
        program: RandomProgram,
        fi: Instrumented,
        rng: random.Random,
        rows: int,
        skip: int,
    ):
        self._program, self._fi, self._rows, self._skip = program, fi, rows, skip
        self._numbers = program.numbers(skip)
        x = random_array(rng, program.dtype, (rows, COLUMNS))
        self._taken = np.array([rng.random() < 0.5 for _ in range(4)])
        self._args = (
            tf.constant(x),
            tf.constant(program.constants),
            tf.constant(self._taken),
            skip,
        )
        self.ids: dict[int, int] = {}
        self._compiled = False

    def runs(self, compiled: bool) -> bool:
        """Return whether TensorFlow can run the program itself; find its sites."""
        self._compiled = compiled
        own = tf.function(self._program, autograph=False, jit_compile=compiled or None)
        try:
            own(*self._args)
        except tf.errors.OpError:
            return False
        armed = self._fi.armed(*self._args)
        self.ids = {
            int(re.search(r"n(\d+)_op", site.name)[1]): site.id for site in armed.sites
        }
        return True

    def draw(self, rng: random.Random, few: bool) -> list[Injected]:
        """Return faults of different operations.

        Args:
          rng: draws them.
          few: whether there are always so many rows of a descriptor, for which XLA
            compiles a program.
        """
        count = min(2 if few else rng.randint(1, 6), len(self._numbers))
        return [self._drawn(rng, n, few) for n in rng.sample(self._numbers, count)]

    def _drawn(self, rng: random.Random, number: int, few: bool) -> Injected:
        place = self._program.places[number]
        size = COLUMNS if place.in_rows else COLUMNS * self._rows
        elements = sorted(rng.sample(range(size), rng.randint(1, min(4, size))))
        if few:
            elements = list(range(elements[0], min(elements[0] + 2, size)))
        width = width_of(self._program.dtype)
        kind = rng.choice(("flip", "replace", "zero"))
        words = [1 << rng.randrange(width) for _ in elements]
        if kind == "replace":
            words = [rng.getrandbits(width) for _ in elements]
        words = [0 if kind == "zero" else word for word in words]
        iterations = None
        if place.loops and rng.random() < 0.7:
            iterations = tuple(rng.randrange(n or self._rows) for n in place.loops)
        keep = -1 if kind == "flip" else 0
        return Injected(number, tuple(elements), keep, tuple(words), iterations)

    def wrong(self, faults: Sequence[Injected], how: str) -> str | None:
        """Return the first difference between log, bits and numpy."""
        given = [
            SiteFault(self.ids[f.number], f.elements, f.keep, f.words, f.iterations)
            for f in faults
        ]
        run, warned = self._run(given, how)
        outputs = [output.numpy() for output in run.outputs]
        check = ProgramCheck(
            self._program,
            outputs,
            self._numbers,
            self._taken,
            faults,
            self._compiled,
        ).run(self._skip)
        if check.wrong:
            return check.wrong
        for fault, one in zip(faults, given, strict=True):
            wrong = _wrong_record(check, fault, [r for r in run.injections if
                                                 r.fault is one])  # fmt: skip
            if wrong:
                return f"log of {fault}: {wrong}"
        missed = sum(not times for times in check.times.values())
        if warned is not None and warned != missed:
            return f"{warned} warnings of {missed} faults that were not injected"
        return None

    def wrong_unless_refused(self, site: int) -> str | None:
        """Return what is wrong if a site that this trace does not have is taken."""
        try:
            self._fi.run([SiteFault(site, [0], -1, [1])], *self._args)
        except tpufi.InputError as error:
            return None if "is not in the trace for" in str(error) else str(error)
        return f"site {site} is not in the trace, and yet a fault was taken"

    def _run(self, faults: list[SiteFault], how: str) -> tuple[Run, int | None]:
        """Return a run, and how many faults it warned of; None: threads share those."""
        if how == "run":
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                run = self._fi.run(faults, *self._args)
            return run, sum("was not injected" in str(w.message) for w in caught)
        with self._fi.injected(*faults) as injections:
            outputs = self._fi(*self._args)
        return Run(outputs, tuple(injections)), None


def _wrong_record(check: ProgramCheck, fault: Injected, records) -> str | None:
    """Return what is wrong with the log of a fault, a row for each run of elements."""
    times = check.times[fault.number]
    if not records or any(record.times != times for record in records):
        return f"times {[record.times for record in records]}, executed {times}"
    elements = [int(e) for record in records for e in record.elements]
    if sorted(elements) != list(fault.elements):
        return f"elements {elements}"
    name = f"n{fault.number}_op"
    if any(name not in record.site.name for record in records):
        return f"names {[record.site.name for record in records]}"
    if times != 1:
        return None
    found = {
        int(e): (int(g), int(f))
        for record in records
        for e, g, f in zip(record.elements, record.golden, record.faulty, strict=True)
    }
    faulty = check.faulty[fault.number]
    for place, element in enumerate(fault.elements):
        golden, after = found[element]
        if after != int(faulty[place]):
            return f"element {element}: faulty {after:#x}, came out {faulty[place]:#x}"
        mask = (1 << width_of(records[0].site.dtype)) - 1
        if after != ((golden & fault.keep) ^ fault.words[place]) & mask:
            return f"element {element}: golden {golden:#x} to {after:#x}"
    return None
