# SPDX-License-Identifier: Apache-2.0
"""What an optimiser is: a pure function of weight, gradient and slots."""

import abc

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.site_table import Site

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
