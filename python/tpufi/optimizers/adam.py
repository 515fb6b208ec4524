# SPDX-License-Identifier: Apache-2.0
"""Adam."""

import dataclasses

import tensorflow as tf

from tpufi.layers.hooks import LayerSites
from tpufi.optimizers.optimizer import Optimizer


@dataclasses.dataclass(frozen=True)
class Adam(Optimizer):
    """Scale the mean gradient by its root mean square.

    A fault in a slot (`first_moment`, `second_moment`) stays there.

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

    def update(
        self,
        sites: LayerSites,
        weight: tf.Tensor,
        gradient: tf.Tensor,
        slots: dict[str, tf.Tensor],
        rate: tf.Tensor,
        step: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        gradient = sites.strike(gradient, "update", "gradient")
        m, v = slots["first_moment"], slots["second_moment"]
        m = m + (gradient - m) * (1 - self.beta_1)
        v = v + (tf.square(gradient) - v) * (1 - self.beta_2)
        m = sites.strike(m, "update", "first_moment")
        v = sites.strike(v, "update", "second_moment")
        one = tf.ones([], weight.dtype)
        corrected = rate * tf.sqrt(one - self.beta_2**step) / (one - self.beta_1**step)
        change = corrected * m / (tf.sqrt(v) + self.epsilon)
        change = sites.strike(change, "update", "output")
        return weight - change, {"first_moment": m, "second_moment": v}
