# SPDX-License-Identifier: Apache-2.0
"""Reads the keys of a TOML table strictly: known ones, each of a type and a bound."""

import re
from collections.abc import Collection, Mapping
from fractions import Fraction

from tpufi.errors import InputError
from tpufi.messages import nearest_first, quote

_MOST = 1 << 31


class Keys:
    """One table of a file, read key by key.

    Args:
      where: stands in front of messages, e.g. `beam.toml: class 'zero'`.
      values: the keys with what they hold.
    """

    def __init__(self, where: str, values: Mapping[str, object]):
        self.where = where
        self._values = values
        self._known: list[str] = []

    def wrong(self, key: str, expected: str) -> InputError:
        """Return the error that a key does not hold what was expected."""
        found = self._values[key]
        shown = quote(found) if isinstance(found, str) else quote(written(found))
        return InputError(
            f"{self.where}: {key}: {shown}; expected {expected}; correct it"
        )

    def lacks(self, key: str, what: str) -> InputError:
        """Return the error that there is no such key; `what` is to be added."""
        return InputError(f"{self.where}: no key {key!r}; add {what}")

    def has(self, key: str) -> bool:
        """Return whether the key is there; it is a known one from now on."""
        self._known.append(key)
        return key in self._values

    def text(self, key: str) -> str:
        """Return text that is not empty."""
        if not self.has(key):
            raise self.lacks(key, f'{key} = "..."')
        found = self._values[key]
        if not isinstance(found, str) or not found.strip():
            raise self.wrong(key, "text that is not empty")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, at least one."""
        if not self.has(key):
            raise self.lacks(key, f'{key} = ["..."]')
        found = self._values[key]
        if not isinstance(found, list) or not found:
            raise self.wrong(key, "a list of texts, not empty")
        if not all(isinstance(one, str) and one for one in found):
            raise self.wrong(key, "texts alone")
        return tuple(found)

    def one_of(self, key: str, known: Collection[str], default: str = "") -> str:
        """Return one of the known texts; without a default the key is needed."""
        if not self.has(key) and default:
            return default
        if key not in self._values:
            raise self.lacks(key, f"one of {', '.join(known)}")
        found = self._values[key]
        if not isinstance(found, str) or found not in known:
            near = found if isinstance(found, str) else ""
            raise self.wrong(key, f"one of {nearest_first(near, known)}")
        return found

    def whole(self, key: str, low: int, default: int | None = None) -> int:
        """Return a whole number from `low` on."""
        return int(self._number(key, low, default, "a whole number", (int,)))

    def number(
        self, key: str, low: float = -float("inf"), default: int | None = None
    ) -> Fraction:
        """Return a number from `low` on."""
        return Fraction(self._number(key, low, default, "a number", (int, Fraction)))

    def _number(
        self, key: str, low: float, default: int | None, what: str, kinds: tuple
    ) -> int | Fraction:
        bound = f" of at least {low}" if low > -_MOST else ""
        if not self.has(key):
            if default is None:
                raise self.lacks(key, f"{what}{bound}")
            return default
        found = self._values[key]
        if type(found) not in kinds or not max(low, -_MOST) <= found < _MOST:
            raise self.wrong(key, f"{what}{bound or ' from -2**31 on'}, below 2**31")
        return found

    def bits(self, key: str) -> tuple[int, int]:
        """Return a number of bits, or the fewest and the most; default: 1."""
        if not self.has(key):
            return 1, 1
        found = self._values[key]
        ends = found if isinstance(found, list) else [found, found]
        if [type(one) for one in ends] != [int, int] or not 1 <= ends[0] <= ends[1]:
            raise self.wrong(key, "a number of bits, or [FEWEST, MOST], from 1 on")
        return ends[0], ends[1]

    def flag(self, key: str) -> bool:
        """Return whether a switch is on; default: off."""
        if not self.has(key):
            return False
        found = self._values[key]
        if not isinstance(found, bool):
            raise self.wrong(key, "true or false")
        return found

    def tables(self, key: str, most: int) -> list[dict[str, object]]:
        """Return the tables [[key]], at least one."""
        found = self._values[key] if self.has(key) else []
        if not found:
            raise self.lacks(key, f"a table [[{key}]] for each {key}")
        if not isinstance(found, list) or not all(isinstance(o, dict) for o in found):
            raise self.wrong(key, f"tables [[{key}]]")
        if len(found) > most:
            raise InputError(
                f"{self.where}: {len(found)} tables [[{key}]]; expected at most "
                f"{most}; merge those that are alike"
            )
        return found

    def words(self, key: str) -> tuple[int, ...]:
        """Return a list of words: bits, as whole numbers."""
        if not self.has(key):
            raise self.lacks(key, f"{key} = [0x...]")
        found = self._values[key]
        if not isinstance(found, list) or not all(type(one) is int for one in found):
            raise self.wrong(key, "a list of words, e.g. [0x400000]")
        return tuple(found)

    def check(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                raise InputError(
                    f"{self.where}: unknown key {quote(key)}; known, nearest first: "
                    f"{nearest_first(key, self._known)}; correct or remove it"
                )


def exact(text: str) -> Fraction:
    """Return the number of a text without rounding it, for `parse_float`."""
    if not re.fullmatch(r"[-+]?[0-9_]{1,20}(\.[0-9_]{1,20})?(e[-+]?[0-9]{1,2})?", text):
        raise ValueError(f"{quote(text)} is no number of at most 20 digits")
    return Fraction(text.replace("_", ""))


def written(value: object) -> str:
    """Return a value as a file has it."""
    if isinstance(value, Fraction):
        whole = value.denominator == 1
        return str(int(value)) if whole else f"{float(value):.12g}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return str(value)
