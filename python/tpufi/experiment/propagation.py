# SPDX-License-Identifier: Apache-2.0
"""How far a fault has spread through the state, computed where the state is."""

import tensorflow as tf

from tpufi.element import element
from tpufi.experiment.spread import Spread
from tpufi.training import State

# Steps, the faulty one included, after which experiments are compared with golden.
AFTER = (1, 2, 4, 8)

PARTS = ("weights", "slots", "statistics")

_DIGITS = 4


class Propagation:
    """Compares states with golden ones; compiled once."""

    def __init__(self) -> None:
        self._compare = tf.function(_compare, autograph=False)

    def spread(self, after: int, golden: State, faulty: State) -> tuple[Spread, ...]:
        """Return what differs, for each part of the state in which anything does.

        Args:
          after: steps since the fault, the faulty one included.
          golden: the golden state.
          faulty: the state of the experiment after as many steps.
        """
        found = []
        for part, right, wrong in zip(PARTS, golden, faulty, strict=False):
            if right:
                measures = self._compare(list(right.values()), list(wrong.values()))
                found += _spread(after, part, tuple(right), measures.numpy().tolist())
        return tuple(found)


def _spread(
    after: int, part: str, names: tuple[str, ...], measures: list[list[float]]
) -> list[Spread]:
    differing = [(m, name) for m, name in zip(measures, names, strict=True) if m[0]]
    if not differing:
        return []
    relative, tensor = max((m[2], name) for m, name in differing)
    return [
        Spread(
            after,
            part,
            len(differing),
            int(sum(m[0] for m, _ in differing)),
            int(sum(m[1] for m, _ in differing)),
            # What rounding makes of a sum may depend on the number of threads.
            float(f"{relative:.{_DIGITS - 1}e}"),
            tensor,
        )
    ]


def _compare(golden: list[tf.Tensor], faulty: list[tf.Tensor]) -> tf.Tensor:
    """Return [tensors, 3]: differing elements, not finite ones, relative difference."""
    return tf.stack(
        [_measures(a, b) for a, b in zip(golden, faulty, strict=True)], axis=0
    )


def _measures(golden: tf.Tensor, faulty: tf.Tensor) -> tf.Tensor:
    bits = getattr(tf, f"int{element(golden.dtype.name).bits}")
    differs = tf.not_equal(tf.bitcast(golden, bits), tf.bitcast(faulty, bits))
    finite = tf.math.is_finite(faulty)
    right, wrong = tf.cast(golden, tf.float64), tf.cast(faulty, tf.float64)
    change = tf.where(finite, wrong - right, tf.zeros_like(right))
    size = tf.norm(right)
    # A tensor of zeros has no scale; its change is told as it is.
    scale = tf.where(size > 0, size, tf.ones_like(size))
    count = [tf.reduce_sum(tf.cast(c, tf.float64)) for c in (differs, ~finite)]
    return tf.stack([*count, tf.norm(change) / scale])
