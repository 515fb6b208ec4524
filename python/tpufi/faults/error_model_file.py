# SPDX-License-Identifier: Apache-2.0
"""Reads measured error models from TOML files, strictly (docs/fault_models.md)."""

import dataclasses
import pathlib
import types
from collections.abc import Callable, Mapping

from tpufi._toml import tomllib
from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.faults.elements import Channel, Column, Extent, Groups, Row, Runs, Whole
from tpufi.faults.error_model import ErrorClass, ErrorModel
from tpufi.faults.fault_model import TARGETS
from tpufi.faults.measured_values import Bias, Carry, FlipSome, NonFinite, Xor
from tpufi.faults.toml_keys import Keys, exact, written
from tpufi.faults.values import (
    FIELDS,
    Constant,
    CopyRandomPosition,
    FlipBits,
    RandomFinite,
    StuckAt,
    ValueRule,
)
from tpufi.messages import quote, show_path
from tpufi.untrusted import read_bounded, reading

_FOLDER = pathlib.Path(__file__).with_name("tables")
# The shipped ones: name -> file.
TABLES: Mapping[str, pathlib.Path] = types.MappingProxyType(
    {path.stem.upper(): path for path in sorted(_FOLDER.glob("*.toml"))}
)
MOST_CLASSES = 1 << 12
_LONGEST = 1 << 20  # Bytes.


def _flip(keys: Keys, dtype: str) -> ValueRule:
    least, most = keys.bits("bits")
    falling = float(keys.number("falling", 0, 1))
    field = keys.one_of("field", FIELDS, "all")
    adjacent = keys.flag("adjacent")
    if least == most and falling == 1:
        return FlipBits(least, field, adjacent)
    if adjacent or field != "all":
        raise InputError(
            f"{keys.where}: bits or falling with field or adjacent; a range of bits, "
            "or weights that fall, are for all bits alone; drop one of them"
        )
    return FlipSome(least, most, falling)


def _xor(keys: Keys, dtype: str) -> ValueRule:
    if not dtype:
        raise InputError(
            f"{keys.where}: words of an unknown element type; add e.g. dtype = "
            '"float32" above the classes'
        )
    return Xor(keys.words("words"), dtype)


# What a class may write: each reads its own keys.
VALUES: Mapping[str, Callable[[Keys, str], ValueRule]] = types.MappingProxyType(
    {
        "zero": lambda keys, _: Constant(0),
        "constant": lambda keys, _: Constant(float(keys.number("number"))),
        "flip": _flip,
        "xor": _xor,
        "carry": lambda keys, _: Carry(),
        "missing_carry": lambda keys, _: Carry(missing=True),
        "bias": lambda keys, _: Bias(float(keys.number("by"))),
        "non_finite": lambda keys, _: NonFinite(),
        "nan": lambda keys, _: NonFinite("nan"),
        "infinity": lambda keys, _: NonFinite("infinity"),
        "random": lambda keys, _: RandomFinite(),
        "copy": lambda keys, _: CopyRandomPosition(),
        "stuck": lambda keys, _: StuckAt(None),
    }
)
# Which elements a class may have.
ELEMENTS_OF: Mapping[str, Callable[[Keys], Extent]] = types.MappingProxyType(
    {
        "one": lambda keys: Groups(),
        "run": lambda keys: Groups(keys.whole("size", 1)),
        "runs": lambda keys: Runs(
            keys.whole("size", 1), keys.whole("period", 1), keys.whole("most", 1)
        ),
        "channel": lambda keys: Channel(),
        "row": lambda keys: Row(),
        "column": lambda keys: Column(),
        "all": lambda keys: Whole(),
    }
)


def shipped_model(name: str) -> ErrorModel:
    """Return the error model of one of `TABLES`; `any_fault_model` knows its name."""
    text, shown = TABLES[name].read_text("utf-8"), TABLES[name].name
    return dataclasses.replace(_parsed(text, name, shown), text="")


def read_error_model(path: str | pathlib.Path) -> ErrorModel:
    """Read the file of an error model; its name is that of the file.

    Args:
      path: TOML file, at most 1 MiB.

    Raises:
      InputError: the file cannot be read, is not TOML, has a key that is unknown,
        missing or out of range, or its weights do not add up.
    """
    shown = show_path(pathlib.Path(path))
    remedy = f"name a file of an error model, or one of {', '.join(TABLES)}"
    with reading(shown, remedy, "cannot read the error model"):
        text = read_bounded(path, _LONGEST).decode()
    return parse_error_model(text, pathlib.Path(path).name, shown)


def parse_error_model(text: str, name: str, shown: str) -> ErrorModel:
    """Return the error model of a text.

    Args:
      text: TOML.
      name: of the fault model.
      shown: stands in front of messages.

    Raises:
      InputError: as `read_error_model`.
    """
    remedy = "docs/fault_models.md has an example; correct it"
    with reading(shown, remedy, "no error model"):
        return _parsed(text, name, shown)


def _parsed(text: str, name: str, shown: str) -> ErrorModel:
    keys = Keys(shown, tomllib.loads(text, parse_float=exact))
    title, source = keys.text("title"), keys.text("source")
    caveats, target = keys.texts("caveats"), keys.one_of("target", TARGETS, "any")
    dtype = keys.one_of("dtype", ELEMENTS) if keys.has("dtype") else ""
    total = keys.number("total", 0, 100)
    given = keys.tables("class", MOST_CLASSES)
    keys.check()
    classes = tuple(_class(shown, i, one, dtype) for i, one in enumerate(given, 1))
    try:
        model = ErrorModel(name, title, source, caveats, target, classes, text)
    except InputError as error:
        raise InputError(f"{shown}: {error}") from None
    weights = sum(one.weight for one in classes)
    if weights != total:
        raise InputError(
            f"{shown}: the weights of {len(classes)} classes add up to "
            f"{written(weights)}; expected the total, {written(total)}; correct a "
            "weight, or write another total = ... above the classes"
        )
    return model


def _class(shown: str, number: int, values: dict, dtype: str) -> ErrorClass:
    name = Keys(f"{shown}: class {number}", values).text("name")
    keys = Keys(f"{shown}: class {quote(name)}", values)
    keys.has("name")
    weight = keys.number("weight", 0)
    try:
        rule = VALUES[keys.one_of("value", VALUES)](keys, dtype)
        extent = ELEMENTS_OF[keys.one_of("elements", ELEMENTS_OF, "one")](keys)
    except InputError as error:
        if str(error).startswith(shown):
            raise
        raise InputError(f"{keys.where}: {error}") from None
    keys.check()
    return ErrorClass(name, weight, extent, rule)
