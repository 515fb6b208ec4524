# SPDX-License-Identifier: Apache-2.0
"""How far the results of a faulty step differ from the golden ones, bitwise."""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

from tpufi.element import element


@dataclasses.dataclass(frozen=True)
class Change:
    """What differs in one tensor, or in several taken together.

    Args:
      elements: all elements, >= 1.
      changed: elements that differ in any bit.
      not_finite: of these, elements that are not finite in the faulty step.
      relative: largest change of an element that is finite in both steps, over the
        largest finite magnitude of the golden tensor; over 1 for one of zeros.
    """

    elements: int
    changed: int
    not_finite: int
    relative: float

    @property
    def share(self) -> float:
        """Share of elements that changed."""
        return self.changed / self.elements

    def __add__(self, other: "Change") -> "Change":
        return Change(
            self.elements + other.elements,
            self.changed + other.changed,
            self.not_finite + other.not_finite,
            max(self.relative, other.relative),
        )


def changes(
    golden: Mapping[str, tf.Tensor], faulty: Mapping[str, tf.Tensor]
) -> dict[str, Change]:
    """Compare tensors of the same names.

    Args:
      golden: tensors of the step without the fault.
      faulty: the same tensors of the step with the fault.

    Returns:
      What differs, by name.
    """
    found = {}
    for name, right in golden.items():
        changed, lost, relative = _measures(right, faulty[name]).numpy().tolist()
        size = right.shape.num_elements()
        found[name] = Change(size, int(changed), int(lost), relative)
    return found


def _measures(golden: tf.Tensor, faulty: tf.Tensor) -> tf.Tensor:
    bits = getattr(tf, f"int{element(golden.dtype.name).bits}")
    differs = tf.not_equal(tf.bitcast(golden, bits), tf.bitcast(faulty, bits))
    known = tf.math.is_finite(golden)
    finite = tf.math.is_finite(faulty)
    right, wrong = tf.cast(golden, tf.float64), tf.cast(faulty, tf.float64)
    nothing = tf.zeros_like(right)
    change = tf.abs(tf.where(known & finite, wrong - right, nothing))
    largest = tf.reduce_max(tf.abs(tf.where(known, right, nothing)))
    # A tensor of zeros has no scale; its change is told as it is.
    scale = tf.where(largest > 0, largest, tf.ones_like(largest))
    lost = differs & ~finite
    count = [tf.reduce_sum(tf.cast(c, tf.float64)) for c in (differs, lost)]
    return tf.stack([*count, tf.reduce_max(change) / scale])
