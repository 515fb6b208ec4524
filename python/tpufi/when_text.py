# SPDX-License-Identifier: Apache-2.0
"""When a fault is injected, as text: in files, options and the journal."""

import re
from collections.abc import Callable

from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.when import ALWAYS, ONCE, When

_NAMED = {"once": ONCE, "always": ALWAYS}
_WINDOW = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?")
_INTEGER = re.compile(r"-?[0-9]{1,12}")
_KEY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,15})")
_FORM = (
    "once, always, or some of rate=1e-3 every=10 steps=5-20,30-40 between=-1:1 "
    "exponents=-3,4"
)


def when_text(when: When) -> str:
    """Return a moment as one line that `parse_when` turns into an equal one.

    Example:
      >>> when_text(When(steps=((5, 20),), rate=1e-3))
      'rate=0.001 steps=5-20'
    """
    for name, known in _NAMED.items():
        if when == known:
            return name
    parts = []
    if when.rate != 1:
        parts.append(f"rate={when.rate!r}")
    if when.every != 1:
        parts.append(f"every={when.every}")
    if when.steps:
        parts.append("steps=" + ",".join(f"{a}-{b}" for a, b in when.steps))
    if when.between is not None:
        parts.append("between=" + ":".join(map(repr, when.between)))
    if when.exponents:
        parts.append("exponents=" + ",".join(map(str, when.exponents)))
    if when.key:
        parts.append(f"key={when.key:#x}")
    return " ".join(parts)


def parse_when(text: str) -> When:
    """Return the moment of a line.

    Args:
      text: `once`, `always`, or conditions `name=value`, the fields of `When`.

    Raises:
      InputError: it is none; the message names the part that is wrong.
    """
    if text in _NAMED:
        return _NAMED[text]
    fields: dict[str, object] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals or name not in _READ or name in fields:
            raise InputError(f"when: {quote(part)}; expected {_FORM}; correct it")
        fields[name] = _READ[name](value)
    if not fields:
        raise InputError(f"when: {quote(text)}; expected {_FORM}; correct it")
    return When(**fields)


def windows_of(text: str) -> tuple[tuple[int, int], ...]:
    """Return windows of steps that are written `5-20,30-40`.

    Raises:
      InputError: they are none.
    """
    found = []
    for part in text.split(","):
        match = _WINDOW.fullmatch(part.strip())
        if not match:
            raise _wrong("steps", text, "FIRST-LAST, e.g. 5-20 or 5-20,30-40")
        found.append((int(match[1]), int(match[2] or match[1])))
    return tuple(found)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _wrong(name, text, "a number") from None


def _whole(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _wrong(name, text, "a whole number")
    return int(text)


def _between(text: str) -> tuple[float, float]:
    ends = text.split(":")
    if len(ends) != 2:
        raise _wrong("between", text, "LOW:HIGH, e.g. -1:1")
    return _number("between", ends[0]), _number("between", ends[1])


def _key(text: str) -> int:
    if not _KEY.fullmatch(text):
        raise _wrong("key", text, "hexadecimal text of up to 64 bits, like 0x1f")
    return int(text, 16)


def _exponents(text: str) -> tuple[int, ...]:
    if not text:
        raise _wrong("exponents", text, "at least one, e.g. -3,4")
    return tuple(_whole("exponents", one) for one in text.split(","))


def _wrong(field: str, value: object, expected: str) -> InputError:
    shown = quote(str(value))
    return InputError(f"when: {field}: {shown}; expected {expected}; correct it")


_READ: dict[str, Callable[[str], object]] = {
    "rate": lambda text: _number("rate", text),
    "every": lambda text: _whole("every", text),
    "steps": windows_of,
    "between": _between,
    "exponents": _exponents,
    "key": _key,
}
