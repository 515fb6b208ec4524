# SPDX-License-Identifier: Apache-2.0
"""Optimisers as pure functions with fault sites, and schedules."""

import abc
import dataclasses

import tensorflow as tf

from tpufi.layers.accumulator import accumulator, widened
from tpufi.layers.context import LayerSites
from tpufi.site_table import Site

__all__ = ["SGD", "Adam", "LinearDecay", "Optimizer"]

Shape = tuple[int, ...]


class Optimizer(abc.ABC):
    """Turns a gradient into a new weight; its tensors are fault sites."""

    @abc.abstractmethod
    def slots(self) -> tuple[str, ...]:
        """Return the names of the tensors kept for each weight, first all zero."""

    @abc.abstractmethod
    def operands(self) -> tuple[str, ...]:
        """Return the operands of an update that are fault sites."""

    @abc.abstractmethod
    def step_size(self, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Return the factor of the changes of all weights, worked out once a step.

        Args:
          rate: scalar learning rate.
          step: scalar of the same type, 1 for the first update.
        """

    @abc.abstractmethod
    def update(
        self,
        sites: LayerSites,
        weight: tf.Tensor,
        gradient: tf.Tensor,
        slots: dict[str, tf.Tensor],
        step_size: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Return the new weight and slots.

        Args:
          sites: the fault sites of this weight.
          weight: the weight.
          gradient: its gradient, summed over all replicas.
          slots: slot name -> tensor like `weight`.
          step_size: what the method of that name returned for this step.
        """

    def sites(self, weight: str, shape: Shape, dtype: str) -> tuple[Site, ...]:
        """Return the fault sites of the update of one weight."""
        return tuple(Site(weight, "update", o, shape, dtype) for o in self.operands())


@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """Subtract the gradient times the learning rate; no momentum."""

    def slots(self) -> tuple[str, ...]:
        return ()

    def operands(self) -> tuple[str, ...]:
        return ("gradient", "output")

    def step_size(self, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return rate

    def update(
        self,
        sites: LayerSites,
        weight: tf.Tensor,
        gradient: tf.Tensor,
        slots: dict[str, tf.Tensor],
        step_size: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        gradient = sites.inject(gradient, "update", "gradient")
        change = tf.cast(widened(gradient) * widened(step_size), weight.dtype)
        change = sites.inject(change, "update", "output")
        return weight - change, {}


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

        def inject(x: tf.Tensor, operand: str) -> tf.Tensor:
            return sites.inject(tf.cast(x, weight.dtype), "update", operand)

        g = wide(inject(gradient, "gradient"))
        m, v = wide(slots["first_moment"]), wide(slots["second_moment"])
        m = inject(m + (g - m) * (1 - self.beta_1), "first_moment")
        v = inject(v + (tf.square(g) - v) * (1 - self.beta_2), "second_moment")
        change = wide(step_size) * wide(m) / (tf.sqrt(wide(v)) + self.epsilon)
        change = inject(change, "output")
        return weight - change, {"first_moment": m, "second_moment": v}


@dataclasses.dataclass(frozen=True)
class LinearDecay:
    """Go linearly from the initial to the final rate, then stay; on the host.

    Args:
      final: last learning rate.
      steps: updates until it is reached, >= 1.

    Source: facts of the ISCA'23 artefact (polynomial decay of power 1).
    """

    final: float
    steps: int

    def rate(self, initial: float, step: int) -> float:
        """Return the rate of the update `step` (0 for the first)."""
        done = min(step, self.steps) / self.steps
        return (initial - self.final) * (1 - done) + self.final
