# SPDX-License-Identifier: Apache-2.0
"""All fault models by name: published ones, other injectors', measured tables."""

import math
import pathlib
import re
import types
from collections.abc import Callable, Mapping

from tpufi.errors import InputError
from tpufi.faults.elements import (
    Channel,
    Column,
    Groups,
    Pair,
    Row,
    SystolicArray,
    Whole,
)
from tpufi.faults.error_model_file import TABLES, read_error_model, shipped_model
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.values import (
    Constant,
    CopyRandomPosition,
    ErrorRate,
    FlipBits,
    Noise,
    RandomFinite,
    Stale,
    StuckAt,
    Swap,
)
from tpufi.messages import nearest_first, quote

_FLIP = FlipBits()
_RANDOM = RandomFinite()
_COPY = CopyRandomPosition()
_MANY = 1000

_MODELS = (
    FaultModel("INPUT", "input", Groups(), _FLIP),
    FaultModel("INPUT_16", "input", Groups(), _FLIP, confined_to=16),
    FaultModel("WT", "weight", Groups(), _FLIP),
    FaultModel("WT_16", "weight", Groups(), _FLIP, confined_to=16),
    FaultModel("RBFLIP", "output", Groups(), _FLIP),
    FaultModel("RD", "output", Groups(), _RANDOM),
    FaultModel("RD_CORRECT", "output", Groups(), _COPY),
    FaultModel("ZERO", "output", Groups(), Constant(0)),
    FaultModel("N16_RD", "output", Groups(16), _RANDOM),
    FaultModel("N16_RD_CORRECT", "output", Groups(16), _COPY),
    FaultModel("RD_GLB", "output", Groups(16, _MANY), _RANDOM),
    FaultModel("RD_CORRECT_GLB", "output", Groups(16, _MANY), _COPY),
    FaultModel("N64_INPUT", "input", Groups(64), _COPY),
    FaultModel("N64_WT", "weight", Groups(64), _COPY),
    FaultModel("N64_INPUT_16", "input", Groups(64), _COPY, confined_to=16),
    FaultModel("N64_WT_16", "weight", Groups(64), _COPY, confined_to=16),
    FaultModel("N64_INPUT_GLB", "input", Groups(64, _MANY), _COPY),
    FaultModel("N64_WT_GLB", "weight", Groups(64, _MANY), _COPY),
)

FAULT_MODELS: Mapping[str, FaultModel] = types.MappingProxyType(
    {model.name: model for model in _MODELS}
)


def fault_model(name: str) -> FaultModel:
    """Return the published fault model called `name`.

    Args:
      name: one of the 18 names, in capitals; the only ones of an injection file.

    Returns:
      The entry of `FAULT_MODELS`. `any_fault_model` knows all others.

    Raises:
      InputError: there is no such model; the message lists them, nearest first.

    Example:
      >>> fault_model("N16_RD").extent
      Groups(size=16, largest=1)
    """
    if name not in FAULT_MODELS:
        raise InputError(
            f"unknown fault model {quote(name)}; expected one of: "
            f"{nearest_first(name, FAULT_MODELS)}; write one of these"
        )
    return FAULT_MODELS[name]


_ONE = Groups()
_STUCK = StuckAt(None)

_FIXED = (
    FaultModel("FLIP", "any", _ONE, FlipBits()),
    FaultModel("SIGN_FLIP", "any", _ONE, FlipBits(field="sign")),
    FaultModel("EXPONENT_FLIP", "any", _ONE, FlipBits(field="exponent")),
    FaultModel("MANTISSA_FLIP", "any", _ONE, FlipBits(field="mantissa")),
    FaultModel("STUCK_AT_0", "any", _ONE, StuckAt(0)),
    FaultModel("STUCK_AT_1", "any", _ONE, StuckAt(1)),
    FaultModel("RANDOM_VALUE", "any", _ONE, RandomFinite()),
    FaultModel("NAN", "any", _ONE, Constant(math.nan)),
    FaultModel("POSITIVE_INF", "any", _ONE, Constant(math.inf)),
    FaultModel("NEGATIVE_INF", "any", _ONE, Constant(-math.inf)),
    FaultModel("STALE", "any", _ONE, Stale()),
    FaultModel("SWAP", "any", Pair(), Swap()),
    FaultModel("CHANNEL_RD", "any", Channel(), RandomFinite()),
    FaultModel("CHANNEL_ZERO", "any", Channel(), Constant(0)),
    FaultModel("CHANNEL_STUCK", "any", Channel(), _STUCK),
    FaultModel("ROW_RD", "any", Row(), RandomFinite()),
    FaultModel("ROW_ZERO", "any", Row(), Constant(0)),
    FaultModel("COLUMN_RD", "any", Column(), RandomFinite()),
    FaultModel("COLUMN_ZERO", "any", Column(), Constant(0)),
)


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) < 1:
        raise ValueError("a number of at least 1")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[-+0-9.e]{1,30}", text, re.IGNORECASE):
        raise ValueError("a finite number")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def _deviation(text: str) -> float:
    number = _number(text)
    if number <= 0:
        raise ValueError("a number above 0")
    return number


def _rate(text: str) -> float:
    number = _number(text)
    if not 2**-32 <= number <= 1 - 2**-32:
        raise ValueError("a probability of 2**-32 (2.4e-10) up to, but not, 1")
    return number


def _array(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise ValueError("HEIGHTxWIDTH, both at least 1")
    return int(match[1]), int(match[2])


def _systolic(dataflow: str) -> Callable[[str, str], FaultModel]:
    def make(name: str, text: str) -> FaultModel:
        array = SystolicArray(dataflow, *_array(text))
        return FaultModel(name, "output", array, _STUCK)

    return make


# Name -> (default parameter, maker). A maker raises ValueError saying what it expects.
_WITH_PARAMETER: Mapping[str, tuple[str, Callable[[str, str], FaultModel]]] = (
    types.MappingProxyType(
        {
            "FLIP_BITS": (
                "2",
                lambda n, p: FaultModel(n, "any", _ONE, FlipBits(_whole_number(p))),
            ),
            "BURST": (
                "2",
                lambda n, p: FaultModel(
                    n, "any", _ONE, FlipBits(_whole_number(p), adjacent=True)
                ),
            ),
            "CONSTANT": (
                "1",
                lambda n, p: FaultModel(n, "any", _ONE, Constant(_number(p))),
            ),
            "ADD_NOISE": (
                "1",
                lambda n, p: FaultModel(n, "any", _ONE, Noise(_deviation(p))),
            ),
            "RELATIVE_NOISE": (
                "0.1",
                lambda n, p: FaultModel(
                    n, "any", _ONE, Noise(_deviation(p), relative=True)
                ),
            ),
            "ERROR_RATE": (
                "1e-6",
                lambda n, p: FaultModel(n, "any", Whole(), ErrorRate(_rate(p))),
            ),
            "SYSTOLIC_OS": ("128x128", _systolic("output")),
            "SYSTOLIC_WS": ("128x128", _systolic("weight")),
            "SYSTOLIC_IS": ("128x128", _systolic("input")),
        }
    )
)

_OTHERS = {model.name: model for model in _FIXED}
NAMES = (*FAULT_MODELS, *_OTHERS, *_WITH_PARAMETER)


def any_fault_model(name: str, folder: str | pathlib.Path = ".") -> FaultModel:
    """Return the fault model called `name`, published or not.

    Args:
      name: one of `NAMES`, of which some take a parameter behind a colon; a measured
        error model, one of `TABLES`; or a file of one, `*.toml`.
      folder: that the path of a file is relative to.

    Returns:
      The fault model; without a parameter the name gets the default one. That of a file
      has the name of the file, without folders.

    Raises:
      InputError: no such model, a parameter that is wrong or not taken, or a file that
        is no error model.

    Example:
      >>> any_fault_model("BURST:4").rule
      FlipBits(bits=4, field='all', adjacent=True)
    """
    family, colon, parameter = name.partition(":")
    if family in _WITH_PARAMETER:
        default, make = _WITH_PARAMETER[family]
        parameter = parameter if colon else default
        try:
            return make(f"{family}:{parameter}", parameter)
        except ValueError as error:
            raise InputError(
                f"fault model {quote(name)}: parameter {quote(parameter)}; expected "
                f"{error}; write e.g. {family}:{default}"
            ) from None
    if is_file(name):
        return read_error_model(pathlib.Path(folder) / name).fault_model
    known = {**FAULT_MODELS, **_OTHERS}
    if family in known or family in TABLES:
        if colon:
            raise InputError(
                f"fault model {quote(name)}: {family} takes no parameter; write "
                f"{family}"
            )
        return known[family] if family in known else shipped_model(family).fault_model
    raise InputError(
        f"unknown fault model {quote(name)}; expected one of: "
        f"{nearest_first(family, (*NAMES, *TABLES))}, or FILE.toml; write one of these"
    )


def is_file(name: str) -> bool:
    """Return whether a fault model of this name is that of a file."""
    return name.endswith(".toml")
