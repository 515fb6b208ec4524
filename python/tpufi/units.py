# SPDX-License-Identifier: Apache-2.0
"""Unit faults: one broken piece of a machine, and what it does to a value.

A unit computes a part of every operation of a step, in all layers and both passes. What
is broken and where are run-time operands of a program; only how the machine is built
(`Unit.built`) is part of a trace.
"""

import abc
import dataclasses

import numpy as np

from tpufi.descriptor import EVERY_REPLICA
from tpufi.element import element
from tpufi.errors import InputError
from tpufi.when import ALWAYS, FOREVER, ONCE, When

DATAFLOWS = ("output", "weight", "input")
REGISTERS = ("weight", "input", "accumulator", "output")
OPERATIONS = ("flip", "zero", "replace")
LANES, SUBLANES = 128, 8
_LONGEST = 1 << 16  # Rows or columns of an array.
_LAST = 1 << 48
_WORD = (1 << 64) - 1


class Unit(abc.ABC):
    """A piece of a machine that computes, stores or transmits.

    Attributes:
      built: the unit at the first place of its kind: what a trace is made for.
      place: which of its kind it is, as run-time numbers.
    """

    built: "Unit"
    place: tuple[int, ...]

    @property
    def stale(self) -> bool:
        """Whether it hands on what a replica sent in the step before."""
        return False

    @property
    def key(self) -> tuple[str | int, ...]:
        """`built` as constants that a trace is known by; see `built_of`."""
        return type(self).__name__, *dataclasses.astuple(self.built)


@dataclasses.dataclass(frozen=True)
class ProcessingElement(Unit):
    """One multiplier of a systolic array, and one of its registers.

    A product C[m, n] = sum over k of A[m, k] B[k, n], where B is what a layer calls its
    weight operand, is cut into tiles of the size of the array. In the element of row r
    and column c, `dataflow` says what stays:

    - output: the sums of C[m, n], m = r mod rows, n = c mod columns. A[m, k] comes from
      the left, B[k, n] from above.
    - weight: B[k, n], k = r mod rows, n = c mod columns. A[m, k] comes from the left,
      and sums move down, a partial sum for each tile of `rows` indices k.
    - input: A[m, k], k = r mod rows, m = c mod columns. B[k, n] comes from the left,
      and sums move down.

    Args:
      rows: of the array, 1 to 65,536.
      columns: of the array, 1 to 65,536.
      dataflow: what stays, one of `DATAFLOWS`.
      register: the broken one, of `REGISTERS`: `weight` and `input` hold an element of
        an operand, which goes on to the next elements as the register leaves it;
        `accumulator` holds a partial sum; `output`, which only an array with
        output-stationary dataflow has, the finished one.
      row: of the element, 0 to rows - 1.
      column: of the element, 0 to columns - 1.

    Raises:
      InputError: there is no such element or register.
    """

    rows: int = 128
    columns: int = 128
    dataflow: str = "output"
    register: str = "weight"
    row: int = 0
    column: int = 0

    def __post_init__(self) -> None:
        _one_of("dataflow", self.dataflow, DATAFLOWS)
        _one_of("register", self.register, self.registers(self.dataflow))
        _within("rows", self.rows, 1, _LONGEST)
        _within("columns", self.columns, 1, _LONGEST)
        array = f"of an array of {self.rows}x{self.columns}"
        _within("row", self.row, 0, self.rows - 1, array)
        _within("column", self.column, 0, self.columns - 1, array)

    @staticmethod
    def registers(dataflow: str) -> tuple[str, ...]:
        """Return the registers of an element; sums that move have no output one."""
        return REGISTERS if dataflow == "output" else REGISTERS[:-1]

    @property
    def built(self) -> "ProcessingElement":
        return dataclasses.replace(self, row=0, column=0)

    @property
    def place(self) -> tuple[int, ...]:
        return self.row, self.column

    @property
    def holds_weight(self) -> bool:
        """Whether a weight is broken that stays, for all that it is multiplied with."""
        return (self.dataflow, self.register) == ("weight", "weight")

    def reached(self, m: int, n: int) -> np.ndarray:
        """Return which results of a product a broken element can change, bool [m, n].

        Args:
          m: rows of the result.
          n: its columns.
        """
        sizes = (self.columns if self.dataflow == "input" else self.rows), self.columns
        row, column = (
            np.arange(size) % period for size, period in zip((m, n), sizes, strict=True)
        )
        kinds = {
            ("output", "weight"): (row >= self.row, column == self.column),
            ("output", "input"): (row == self.row, column >= self.column),
            ("output", "accumulator"): (row == self.row, column == self.column),
            ("output", "output"): (row == self.row, column == self.column),
            ("weight", "weight"): (row >= 0, column == self.column),
            ("weight", "input"): (row >= 0, column >= self.column),
            ("weight", "accumulator"): (row >= 0, column == self.column),
            ("input", "weight"): (row >= self.column, column >= 0),
            ("input", "input"): (row == self.column, column >= 0),
            ("input", "accumulator"): (row == self.column, column >= 0),
        }
        hit = kinds[self.dataflow, self.register]
        return hit[0][:, None] & hit[1]


@dataclasses.dataclass(frozen=True)
class VectorLane(Unit):
    """One of the 8 x 128 lanes that compute element by element.

    It computes the results of an elementwise operation whose flat, row-major index is
    128 * sublane + lane modulo 1,024.

    Args:
      lane: 0 to 127.
      sublane: 0 to 7.

    Raises:
      InputError: there is no such lane.
    """

    lane: int = 0
    sublane: int = 0

    def __post_init__(self) -> None:
        lanes = f"of {SUBLANES}x{LANES} lanes"
        _within("lane", self.lane, 0, LANES - 1, lanes)
        _within("sublane", self.sublane, 0, SUBLANES - 1, lanes)

    @property
    def built(self) -> "VectorLane":
        return VectorLane()

    @property
    def place(self) -> tuple[int, ...]:
        return (self.sublane * LANES + self.lane,)


@dataclasses.dataclass(frozen=True)
class MemoryAddress(Unit):
    """An address of stored state: a step reads it broken, and leaves it so.

    Args:
      tensor: a weight `layer/what`, a slot of one, `layer/what/slot`, or a statistic.
      index: flat index of the element, >= 0.

    Raises:
      InputError: the index is negative.
    """

    tensor: str
    index: int = 0

    def __post_init__(self) -> None:
        _within("index", self.index, 0, _LAST)

    @property
    def built(self) -> "MemoryAddress":
        return MemoryAddress("")

    @property
    def place(self) -> tuple[int, ...]:
        return (self.index,)


@dataclasses.dataclass(frozen=True)
class SavedActivation(Unit):
    """An activation that breaks between the passes.

    The forward pass has read it whole, the backward pass reads it broken: the first
    tensor that a layer keeps for its backward pass. It is the layer's input, its output
    if the gradient follows from that (ReLU, sigmoid, softmax), or the input less its
    mean (batch norm).

    Args:
      layer: name of the layer.
      element: flat index, >= 0.

    Raises:
      InputError: the index is negative.
    """

    layer: str
    element: int = 0

    def __post_init__(self) -> None:
        _within("element", self.element, 0, _LAST)

    @property
    def built(self) -> "SavedActivation":
        return SavedActivation("")

    @property
    def place(self) -> tuple[int, ...]:
        return (self.element,)


LINK_ERRORS = ("corrupted", "missing", "twice", "stale")


@dataclasses.dataclass(frozen=True)
class Link(Unit):
    """A link that breaks a chunk of what a replica sends to the sum of gradients.

    The message of a replica is its gradients, one behind the other in the order of
    their names, cut into chunks of equal size.

    Args:
      error: `corrupted`: the operation of the fault is applied to each number of the
        chunk; `missing`: they are zero; `twice`: they are added twice; `stale`: they
        are those that the replica computed in the step before, whatever its link made
        of them then.
      chunk: number of the chunk, 0 to chunks - 1.
      chunks: of a message, >= 1.

    Raises:
      InputError: there is no such error or chunk.
    """

    error: str = "corrupted"
    chunk: int = 0
    chunks: int = 1

    def __post_init__(self) -> None:
        _one_of("error", self.error, LINK_ERRORS)
        _within("chunks", self.chunks, 1, _LONGEST)
        _within("chunk", self.chunk, 0, self.chunks - 1, f"of {self.chunks} chunks")

    @property
    def built(self) -> "Link":
        return Link(self.error)

    @property
    def stale(self) -> bool:
        return self.error == "stale"

    @property
    def place(self) -> tuple[int, ...]:
        return self.chunk, self.chunks


_KINDS = (ProcessingElement, VectorLane, MemoryAddress, SavedActivation, Link)
UNITS = {kind.__name__: kind for kind in _KINDS}


def built_of(key: tuple[str | int, ...]) -> Unit:
    """Return the `Unit.built` of a key."""
    kind, *fields = key
    return UNITS[kind](*fields)


@dataclasses.dataclass(frozen=True)
class UnitFault:
    """A broken unit, and what it does to each value that passes through it.

    Args:
      unit: the broken one.
      operation: `flip`, `zero` or `replace`: a value x becomes (x & keep) ^ word. A
        bit stuck at 0 is `replace` that keeps all other bits; at 1, with it as word.
      keep: bits that are kept (`replace`); 0 for other operations.
      word: bits that are flipped, or written; 0 for `zero`.
      replica: the one that the broken chip serves, or -1: all of them.
      when: in which steps and operations the unit is broken; always, if not told.
      first: step since the start of training that `when` counts from.

    Raises:
      InputError: a field is out of range or contradicts another.

    Example:
      >>> UnitFault.stuck(ProcessingElement(row=3, column=5), bit=30, at=1).word
      1073741824
    """

    unit: Unit
    operation: str = "flip"
    keep: int = 0
    word: int = 0
    replica: int = EVERY_REPLICA
    when: When = ALWAYS
    first: int = 0

    def __post_init__(self) -> None:
        _one_of("operation", self.operation, OPERATIONS)
        replaces, writes = self.operation == "replace", self.operation != "zero"
        _within("keep", self.keep, 0, _WORD if replaces else 0)
        _within("word", self.word, 0, _WORD if writes else 0)
        _within("replica", self.replica, EVERY_REPLICA, _LAST)
        _within("first", self.first, 0, FOREVER)
        if self.when.is_triggered:
            raise InputError(
                "unit: a broken unit changes values of any size; give when no between "
                "and no exponents"
            )

    @classmethod
    def stuck(cls, unit: Unit, bit: int, at: int, **others: object) -> "UnitFault":
        """Return a unit with a bit that keeps one value.

        Args:
          unit: the broken one.
          bit: 0 is the least significant.
          at: the value, 0 or 1.
          **others: further arguments of `UnitFault`.
        """
        _within("bit", bit, 0, 63)
        _within("at", at, 0, 1)
        return cls(unit, "replace", _WORD ^ (1 << bit), at << bit, **others)

    @classmethod
    def flipped(cls, unit: Unit, bit: int, **others: object) -> "UnitFault":
        """Return a unit that inverts a bit of each value."""
        _within("bit", bit, 0, 63)
        return cls(unit, "flip", 0, 1 << bit, **others)

    @property
    def whole(self) -> "UnitFault":
        """Itself on a machine that is whole: the unit is broken in no step."""
        named = isinstance(self.unit, MemoryAddress | SavedActivation)
        unit = self.unit if named else self.unit.built
        return UnitFault(unit, when=ONCE, first=FOREVER)

    def bits(self, dtype: str) -> np.ndarray:
        """Return the bits to keep and those to invert, uint64 [2].

        Args:
          dtype: of the values.

        Raises:
          InputError: they have fewer bits than the word.
        """
        mask = element(dtype).mask
        _within("word", self.word, 0, mask, f"of {dtype}")
        kept = {"flip": _WORD, "zero": 0, "replace": self.keep}[self.operation]
        return np.array([kept, self.word], np.uint64)


def _one_of(field: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"unit: {field} {value!r} is unknown; choose {_any(known)}")


def _any(known: tuple[str, ...]) -> str:
    return f"{', '.join(known[:-1])} or {known[-1]}"


def _within(field: str, value: object, low: int, high: int, of: str = "") -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        bound = f"{low} to {high}" if low < high else f"{low}"
        raise InputError(
            f"unit: {field} {value!r} is not {bound}{of and ' '}{of}; choose {bound}"
        )
