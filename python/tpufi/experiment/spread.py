# SPDX-License-Identifier: Apache-2.0
"""How far a fault has spread; journals hold it and are read without TensorFlow."""

from typing import NamedTuple


class Spread(NamedTuple):
    """What of one part of the state differs from golden after some steps.

    Args:
      after: steps since the fault, the faulty one included.
      part: `weights`, `slots` or `statistics`.
      tensors: tensors that differ in any bit.
      elements: elements that differ in any bit.
      not_finite: of the differing tensors, elements that are not finite.
      relative: largest 2-norm of a tensor's finite changes over that of the golden
        tensor, to 4 digits; over 1 for a golden tensor of zeros.
      tensor: the one that has it.
    """

    after: int
    part: str
    tensors: int
    elements: int
    not_finite: int
    relative: float
    tensor: str
