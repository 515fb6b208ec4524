# SPDX-License-Identifier: Apache-2.0
"""Faults as lines of JSON: written canonically, read strictly, drawn in bulk."""

import dataclasses
import functools
import json
import multiprocessing
import re
import signal
from collections.abc import Iterator
from typing import Any

from tpufi.errors import InputError
from tpufi.fault import AffectedOutputs, Elements, Fault, Listed, Strided, listed_runs
from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.faults.plan import SamplingPlan, SiteSpace
from tpufi.faults.sampler import Sampler
from tpufi.messages import nearest_first, quote
from tpufi.when_text import parse_when, when_text

_MOMENT = ("replica", "epoch", "step", "duration")
_PLACES = ("start", "count", "block", "stride")
_KEYS = (
    *("model", "site", "dtype", "shape"),
    *_MOMENT,
    *_PLACES,
    *("operation", "keep", "words", "confine", "stale"),
)
_ITERATIONS = "iterations"  # Of sites of a program in loops only.
_WHEN = "when"  # Of faults that are not injected in all their steps only.
# Without leading zeros, as it is written: one fault, one text.
_HEX = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,15})")
_LIMIT = 1 << 63
_LONGEST = 1 << 16


def fault_line(fault: AnyFault) -> str:
    """Return the fault as one line of JSON, without the line end.

    The same fault is always the same text. `keep` and `words` are hexadecimal. Listed
    elements are lists of runs: `start` and `count` of each. A broken unit has other
    keys, see `tpufi.faults.broken_unit.BrokenUnit.line`.

    Args:
      fault: the fault.

    Returns:
      ASCII text; that of a `Fault` `parse_fault` turns into an equal one.
    """
    if isinstance(fault, BrokenUnit):
        return fault.line()
    row = {
        "model": fault.model,
        "site": fault.site,
        "dtype": fault.dtype,
        "shape": fault.shape,
        "replica": fault.replica,
        "epoch": fault.epoch,
        "step": fault.step,
        "duration": fault.duration,
        **_places(fault.elements),
        "operation": fault.operation,
        "keep": hex(fault.keep),
        "words": [hex(word) for word in fault.words],
        "confine": fault.affected,
        "stale": fault.stale,
    }
    if fault.iterations is not None:
        row[_ITERATIONS] = fault.iterations
    if fault.when is not None:
        row[_WHEN] = when_text(fault.when)
    return json.dumps(row, separators=(",", ":"))


def parse_fault(line: str, where: str = "fault") -> Fault:
    """Return the fault of one line of JSON.

    Args:
      line: the text, with or without a line end; all keys of `fault_line`, no others.
      where: stands in front of messages, e.g. `faults.jsonl:12`.

    Returns:
      The fault.

    Raises:
      InputError: the line is not such an object; a key is unknown, missing or repeated;
        a value has the wrong type or is out of range.
    """
    try:
        row = _object(line)
        return Fault(
            model=_text(row, "model"),
            site=_text(row, "site"),
            dtype=_text(row, "dtype"),
            shape=_integers_or_none(row, "shape"),
            elements=_elements(row),
            operation=_text(row, "operation"),
            keep=_hex("keep", row["keep"]),
            words=tuple(_hex("words", word) for word in _list("words", row["words"])),
            affected=_affected(row["confine"]),
            stale=_boolean("stale", row["stale"]),
            iterations=_integers_or_none(row, _ITERATIONS),
            when=parse_when(_text(row, _WHEN)) if _WHEN in row else None,
            **{key: _integer(key, row[key]) for key in _MOMENT},
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _places(elements: Elements) -> dict[str, object]:
    """Return the four keys of elements; of listed ones, a list of their runs."""
    if isinstance(elements, Strided):
        return dataclasses.asdict(elements)
    if isinstance(elements, Listed):
        runs = [elements.flat[run] for run in elements.runs()]
        sizes = [len(run) for run in runs]
        starts = [run[0] for run in runs]
        return {"start": starts, "count": sizes, "block": sizes, "stride": sizes}
    raise TypeError(f"{type(elements).__name__} has no keys")


def _elements(row: dict[str, Any]) -> Elements:
    given = [row[key] for key in _PLACES]
    if not isinstance(given[0], list):
        return Strided(*(_integer(k, v) for k, v in zip(_PLACES, given, strict=True)))
    lists = [_integers(row, key, row[key]) for key in _PLACES]
    if len({len(numbers) for numbers in lists}) != 1:
        sizes = ", ".join(f"{k} {len(n)}" for k, n in zip(_PLACES, lists, strict=True))
        raise _wrong("start", sizes, "four lists of one length, a number for each run")
    return listed_runs(list(zip(*lists, strict=True)))


def _object(line: str) -> dict[str, Any]:
    if len(line) > _LONGEST:
        raise InputError(
            f"{len(line)} characters; expected at most {_LONGEST}; a fault is one line"
        )
    try:
        row = json.loads(line, object_pairs_hook=_without_repeats)
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError(
            f"{quote(line)} is not JSON; expected one object a line; draw it again"
        ) from None
    if not isinstance(row, dict):
        raise InputError(f"{quote(line)} is no JSON object; write one object a line")
    for key in row:
        if key not in (*_KEYS, _ITERATIONS, _WHEN):
            raise InputError(
                f"unknown key {quote(key)}; known, nearest first: "
                f"{nearest_first(key, _KEYS)}; correct or remove it"
            )
    for key in _KEYS:
        if key not in row:
            raise InputError(f"no key {key!r}; expected all of {', '.join(_KEYS)}")
    return row


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"key {quote(twice)} stands twice; remove one of the two")
    return row


def _wrong(key: str, value: object, expected: str) -> InputError:
    return InputError(f"{key}: {quote(repr(value))}; expected {expected}; correct it")


def _text(row: dict[str, Any], key: str) -> str:
    if not isinstance(row[key], str):
        raise _wrong(key, row[key], "a string")
    return row[key]


def _boolean(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, value, "true or false")
    return value


def _integer(key: str, value: object) -> int:
    if type(value) is not int or not -_LIMIT <= value < _LIMIT:
        raise _wrong(key, value, "an integer of 64 bits")
    return value


def _list(key: str, value: object) -> list:
    if not isinstance(value, list):
        raise _wrong(key, value, "a list")
    return value


def _integers(row: dict[str, Any], key: str, value: object) -> tuple[int, ...]:
    return tuple(_integer(key, item) for item in _list(key, value))


def _integers_or_none(row: dict[str, Any], key: str) -> tuple[int, ...] | None:
    value = row.get(key)
    return None if value is None else _integers(row, key, value)


def _hex(key: str, value: object) -> int:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _wrong(key, value, 'hexadecimal text of up to 64 bits, like "0x3f800000"')
    return int(value, 16)


def _affected(value: object) -> AffectedOutputs | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise _wrong("confine", value, "null or [start, stride, count]")
    return AffectedOutputs(*(_integer("confine", item) for item in value))


_CHUNK = 500


def fault_lines(
    name: str,
    per_replica: int,
    plan: SamplingPlan,
    seed: int,
    first: int,
    count: int,
    workers: int = 1,
) -> Iterator[str]:
    """Yield the faults of experiments `first` to `first + count - 1` as lines of JSON.

    Args:
      name: workload.
      per_replica: images of one replica, >= 1.
      plan: what to draw from.
      seed: campaign seed, 0 <= seed < 2**64.
      first: first experiment, >= 0.
      count: experiments, >= 0.
      workers: processes, >= 1; the lines are the same for any number.

    Raises:
      InputError: unknown workload, or the plan does not fit it; before the first line.
    """
    draw = functools.partial(_lines, name, per_replica, plan, seed)
    last = first + count
    chunks = (range(i, min(i + _CHUNK, last)) for i in range(first, last, _CHUNK))
    _sampler(name, per_replica, plan)  # Wrong input is found here, not in a worker.
    if workers == 1:
        for chunk in chunks:
            yield from draw(chunk)
        return
    # The workers fork from a server that has imported this module, so TensorFlow is
    # imported once and no thread of this process is copied.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    # An interrupt is for this process, which then ends the workers.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with context.Pool(workers, signal.signal, ignore) as pool:
        for lines in pool.imap(draw, chunks):
            yield from lines


@functools.lru_cache(maxsize=4)
def _sampler(name: str, per_replica: int, plan: SamplingPlan) -> Sampler:
    from tpufi.models import any_workload  # Here: lines are read without TensorFlow.

    return Sampler(SiteSpace.of(any_workload(name), per_replica), plan)


def _lines(
    name: str, per_replica: int, plan: SamplingPlan, seed: int, numbers: range
) -> list[str]:
    sampler = _sampler(name, per_replica, plan)
    return [fault_line(sampler.draw(seed, number)) for number in numbers]
