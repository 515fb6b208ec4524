# SPDX-License-Identifier: Apache-2.0
"""The class of the value that a fault writes, as far as the journal tells it."""

from tpufi.element import ELEMENTS

_RULES = {
    "words": "several bits, or a value of another step",
    "repeat": "one constant value",
    "random": "random finite values",
    "copy": "values of other positions",
    "copy_random": "values of other positions",
    "error_rate": "bits at an error rate",
    "add": "added noise",
    "multiply": "relative noise",
}


def value_class(dtype: str | None, bit: int | None, rule: str) -> str:
    """Return the class.

    Args:
      dtype: element type of the site; None: not known.
      bit: the one bit that the fault changes; None: it changes more.
      rule: value rule.

    Example:
      >>> value_class("float32", 30, "words")
      'exponent bit'
    """
    if bit is None:
        return _RULES.get(rule, rule)
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
