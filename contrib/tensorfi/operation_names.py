# SPDX-License-Identifier: Apache-2.0
"""TensorFI's names of operations, and what each stands for in TensorFlow."""

import enum

from tpufi.errors import InputError
from tpufi.messages import nearest_first, quote


class Ops(enum.Enum):
    """The operations that a TensorFI configuration can name."""

    NOOP = "NOOP"
    ASSIGN = "ASSIGN"
    IDENTITY = "IDENTITY"
    ADD = "ADD"
    SUB = "SUB"
    MUL = "MUL"
    SQUARE = "SQUARE"
    SHAPE = "SHAPE"
    SIZE = "SIZE"
    FILL = "FILL"
    FLOOR = "FLOOR"
    FLOORMOD = "FLOOR-MOD"
    RANGE = "RANGE"
    RANK = "RANK"
    SUM = "SUM"
    MATMUL = "MATMUL"
    ARGMAX = "ARGMAX"
    ARGMIN = "ARGMIN"
    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT-EQUAL"
    LESS_EQUAL = "LESS-EQUAL"
    GREATER_EQUAL = "GREATER-EQUAL"
    CAST = "CAST"
    MEAN = "MEAN"
    COUNT_NONZERO = "COUNT-NONZERO"
    RESHAPE = "RESHAPE"
    ONE_HOT = "ONE-HOT"
    CONV2D = "CONV2D"
    RELU = "RELU"
    MAXPOOL = "MAX-POOL"
    STRIDEDSLICE = "STRIDED-SLICE"
    SOFTMAX = "SOFT-MAX"
    MAXIMUM = "MAXIMUM"
    MINIMUM = "MINIMUM"
    EXPANDDIMS = "EXPAND-DIMS"
    SWITCH = "SWITCH"
    GREATER = "GREATER"
    NEGATIVE = "NEGATIVE"
    POWER = "POW"
    REALDIV = "REALDIV"
    ABSOLUTE = "ABSOLUTE"
    RSQRT = "RSQRT"
    LOG = "LOG"
    BIASADD = "BIASADD"
    SIGMOID = "SIGMOID"
    TANH = "TANH"
    PACK = "PACK"
    UNPACK = "UNPACK"
    ALL = "ALL"
    END = "END"
    LRN = "LRN"
    ELU = "ELU"
    RANDOM_UNIFORM = "RANDOM-UNIFORM"


_TYPES = {
    "ASSIGN": ("Assign",),
    "IDENTITY": ("Identity",),
    "ADD": ("Add", "AddV2"),
    "SUB": ("Sub",),
    "MUL": ("Mul",),
    "SQUARE": ("Square",),
    "SHAPE": ("Shape",),
    "SIZE": ("Size",),
    "FILL": ("Fill",),
    "FLOOR": ("Floor",),
    "FLOOR-MOD": ("FloorMod",),
    "RANGE": ("Range",),
    "RANK": ("Rank",),
    "SUM": ("Sum",),
    "MATMUL": ("MatMul", "BatchMatMul", "BatchMatMulV2"),
    "ARGMAX": ("ArgMax",),
    "ARGMIN": ("ArgMin",),
    "EQUAL": ("Equal",),
    "NOT-EQUAL": ("NotEqual",),
    "LESS-EQUAL": ("LessEqual",),
    "GREATER-EQUAL": ("GreaterEqual",),
    "CAST": ("Cast",),
    "MEAN": ("Mean",),
    "RESHAPE": ("Reshape",),
    "ONE-HOT": ("OneHot",),
    "CONV2D": ("Conv2D",),
    "RELU": ("Relu",),
    "MAX-POOL": ("MaxPool",),
    "STRIDED-SLICE": ("StridedSlice",),
    "SOFT-MAX": ("Softmax",),
    "MAXIMUM": ("Maximum", "Max"),
    "MINIMUM": ("Minimum", "Min"),
    "EXPAND-DIMS": ("ExpandDims",),
    "GREATER": ("Greater",),
    "NEGATIVE": ("Neg",),
    "POW": ("Pow",),
    "REALDIV": ("RealDiv",),
    "ABSOLUTE": ("Abs",),
    "RSQRT": ("Rsqrt",),
    "LOG": ("Log",),
    "BIASADD": ("BiasAdd",),
    "SIGMOID": ("Sigmoid",),
    "TANH": ("Tanh",),
    "PACK": ("Pack", "ConcatV2"),
    "LRN": ("LRN",),
    "ELU": ("Elu",),
    "RANDOM-UNIFORM": ("RandomUniform", "StatelessRandomUniformV2"),
}
ALL = "ALL"
NEVER_INJECTED = ("NOOP", "SWITCH", "UNPACK", "END", "COUNT-NONZERO")
_NAMES = {op: name for name, types in _TYPES.items() for op in types}


def types_of(name: str) -> tuple[str, ...]:
    """Return the operation types that a name of a configuration stands for.

    Args:
      name: one of TensorFI's names but ALL, or a type of TensorFlow such as
        `Conv2DBackpropFilter`, which has lower-case letters.

    Returns:
      None for names whose operations never carry a fault.

    Raises:
      InputError: no such name.
    """
    if name in _TYPES:
        return _TYPES[name]
    if name in NEVER_INJECTED:
        return ()
    if name.isidentifier() and name != name.upper() and name[0].isupper():
        return (name,)
    known = [*_TYPES, ALL]
    raise InputError(
        f"operation {quote(name)} is unknown; nearest names: "
        f"{nearest_first(name, known, 5)}, or a TensorFlow type such as AvgPool"
    )


def name_of(op_type: str, named: "set[str] | dict[str, float]") -> str | None:
    """Return the name under which a configuration selects an operation, or None.

    Args:
      op_type: TensorFlow's type of the operation.
      named: names in the configuration; its own name goes before ALL.
    """
    for name in (op_type, _NAMES.get(op_type), ALL):
        if name in named:
            return name
    return None
