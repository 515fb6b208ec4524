# SPDX-License-Identifier: Apache-2.0
"""The class of the value that a fault writes, as far as the journal tells it."""

from tpufi.element import ELEMENTS

_OPERATIONS = {
    "flip": "several bits",
    "zero": "zero",
    "replace": "a constant value, or one of another step",
    "random": "random finite values",
    "copy": "values of other positions",
    "copy_random": "values of other positions",
    "error_rate": "bits at an error rate",
    "add": "added noise",
    "multiply": "relative noise",
}


def value_class(dtype: str | None, bit: int | None, operation: str) -> str:
    """Return the class.

    Args:
      dtype: element type of the site; None: not known.
      bit: the one bit that the fault changes; None: it changes more.
      operation: what is done to an element.

    Example:
      >>> value_class("float32", 30, "flip")
      'exponent bit'
    """
    if bit is None:
        return _OPERATIONS.get(operation, operation)
    return bit_field(dtype, bit)


def bit_field(dtype: str | None, bit: int) -> str:
    """Return in which field of the element a bit is."""
    layout = ELEMENTS.get(dtype or "")
    if layout is None:
        return "one bit"
    if not layout.exponent_bits:
        return "bit of an integer"
    if bit >= layout.exponent_bits + layout.mantissa_bits:
        return "sign bit"
    return "exponent bit" if bit >= layout.mantissa_bits else "mantissa bit"
