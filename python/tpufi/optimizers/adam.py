# SPDX-License-Identifier: Apache-2.0
"""Adam."""

import dataclasses

import tensorflow as tf

from tpufi.layers.accumulator import accumulator
from tpufi.layers.context import LayerSites
from tpufi.optimizers.optimizer import Optimizer


@dataclasses.dataclass(frozen=True)
class Adam(Optimizer):
    """Scale the mean gradient by its root mean square.

    A fault in a slot (`first_moment`, `second_moment`) stays there. Of 16-bit weights
    all arithmetic is float32; slots and the change are rounded to 16 bits.

    Args:
      beta_1: decay of the first moment.
      beta_2: decay of the second moment.
      epsilon: added to the root.

    Source: Kingma and Ba 2015, the form with epsilon outside the bias correction.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slots(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment")

    def operands(self) -> tuple[str, ...]:
        return ("gradient", *self.slots(), "output")

    def step_size(self, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        one = tf.ones([], rate.dtype)
        return rate * tf.sqrt(one - self.beta_2**step) / (one - self.beta_1**step)

    def update(
        self,
        sites: LayerSites,
        weight: tf.Tensor,
        gradient: tf.Tensor,
        slots: dict[str, tf.Tensor],
        step_size: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        def wide(x: tf.Tensor) -> tf.Tensor:
            return tf.cast(x, accumulator(weight.dtype.name))

        def strike(x: tf.Tensor, operand: str) -> tf.Tensor:
            return sites.strike(tf.cast(x, weight.dtype), "update", operand)

        g = wide(strike(gradient, "gradient"))
        m, v = wide(slots["first_moment"]), wide(slots["second_moment"])
        m = strike(m + (g - m) * (1 - self.beta_1), "first_moment")
        v = strike(v + (tf.square(g) - v) * (1 - self.beta_2), "second_moment")
        change = wide(step_size) * wide(m) / (tf.sqrt(wide(v)) + self.epsilon)
        change = strike(change, "output")
        return weight - change, {"first_moment": m, "second_moment": v}
