# SPDX-License-Identifier: Apache-2.0
"""Reading numpy arrays out of a pickle without calling anything that it names.

Plain unpickling runs whatever a file names. Here each name gives an inert stand-in
that only records the arguments; arrays are then built from the records by our own code.
A list of admitted names alone would be weaker: it would still hand the file's arguments
to numpy functions that were not written for hostile input.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np

# What the pickles of uint8 arrays name, in numpy before and after version 2.
_ADMITTED = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy.core.numeric", "_frombuffer"): "frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "frombuffer",
    ("_codecs", "encode"): "encode",
}

# An original CIFAR-10 batch uses some 20,000.
_MAX_MEMO = 1_000_000


class InertPickleError(ValueError):
    """The pickle is damaged, or holds more than plain values and uint8 arrays."""


class _Record:
    """A call that the file asked for and that did not take place."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...]):
        self.name = name
        self.args = args
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Name:
    """Stands for a function or class that the file names."""

    __slots__ = ("_name",)

    def __init__(self, name: str):
        self._name = name

    def __call__(self, *args: Any) -> _Record | bytes:
        if self._name == "encode":
            # How Python 3 writes bytes for Python 2: as text, one letter a byte.
            return args[0].encode("latin1")
        return _Record(self._name, args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _Name:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module[:40]}.{name[:40]}")
        return _Name(_ADMITTED[module, name])


def load(data: bytes) -> Any:
    """Read a pickle of plain values and uint8 arrays without calling anything.

    Args:
      data: the pickle, any protocol; strings of Python 2 become bytes.

    Returns:
      The value; arrays in it are opaque until `as_uint8` reads them.

    Raises:
      InertPickleError: it is damaged or names something that is not admitted.
    """
    try:
        _check_opcodes(data)
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:
        # A damaged pickle can raise nearly anything, MemoryError included.
        raise InertPickleError(str(error) or type(error).__name__) from None


def as_uint8(value: Any) -> np.ndarray:
    """Build the uint8 array that was pickled.

    Args:
      value: part of what `load` returned.

    Returns:
      uint8 array.

    Raises:
      InertPickleError: the value is no uint8 array or its size does not fit.
    """
    try:
        if value.name == "reconstruct":
            _, shape, dtype, column_major, content = value.state
        else:
            content, dtype, shape, order = value.args
            column_major = order != "C"
        if dtype.args[0] not in ("u1", b"u1") or column_major:
            raise InertPickleError("an array is not of bytes in row-major order")
        return np.frombuffer(content, np.uint8).reshape(shape)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, InertPickleError):
            raise
        raise InertPickleError("an array is not what numpy writes") from None


def _check_opcodes(data: bytes) -> None:
    """Refuse what makes the unpickler allocate far more than the size of the file."""
    for opcode, argument, _ in pickletools.genops(data):
        # The memo is an array as long as the largest index. (Lengths beyond the end
        # of the file do not get this far.)
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > _MAX_MEMO:
            raise pickle.UnpicklingError(f"it uses memo {argument}")
