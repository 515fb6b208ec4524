# SPDX-License-Identifier: Apache-2.0
"""All fault models by name: the 18 published ones and those of other injectors.

Some take a parameter behind a colon, e.g. `BURST:4`; the parameter is part of the name.

Source: docs/fault_models.md names where each comes from.
"""

import math
import re
import types
from collections.abc import Callable, Mapping

from tpufi.errors import InputError
from tpufi.faults.bit_flips import FlipBits
from tpufi.faults.extents import Channel, Column, Groups, Pair, Row, Whole
from tpufi.faults.fault_models import FAULT_MODELS, FaultModel
from tpufi.faults.numeric_rules import AddNoise, Constant, RelativeNoise
from tpufi.faults.systolic_array import SystolicArray
from tpufi.faults.value_rules import ErrorRate, RandomFinite, Stale, StuckAt, Swap
from tpufi.messages import nearest_first, quote

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
                lambda n, p: FaultModel(n, "any", _ONE, AddNoise(_deviation(p))),
            ),
            "RELATIVE_NOISE": (
                "0.1",
                lambda n, p: FaultModel(n, "any", _ONE, RelativeNoise(_deviation(p))),
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


def any_fault_model(name: str) -> FaultModel:
    """Return the fault model called `name`, published or not.

    Args:
      name: one of `NAMES`; some take a parameter behind a colon.

    Returns:
      The fault model; without a parameter the name gets the default one.

    Raises:
      InputError: no such model, or a parameter that is wrong or not taken.

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
    known = {**FAULT_MODELS, **_OTHERS}
    if family in known:
        if colon:
            raise InputError(
                f"fault model {quote(name)}: {family} takes no parameter; write "
                f"{family}"
            )
        return known[family]
    raise InputError(
        f"unknown fault model {quote(name)}; expected one of: "
        f"{nearest_first(family, NAMES)}; write one of these"
    )
