# SPDX-License-Identifier: Apache-2.0
"""A workload: model, loss, optimiser and schedule, and the sites they offer."""

import dataclasses
import functools

from tpufi.layers.layer import Layer, Node, Shape, Weight
from tpufi.layers.softmax_loss import SoftmaxLoss
from tpufi.optimizers import LinearDecay, Optimizer
from tpufi.sites import Site, SiteTable


@dataclasses.dataclass(frozen=True)
class Workload:
    """One training task.

    Args:
      name: key in `tpufi.models.WORKLOADS` and in injection files.
      model: maps images to logits.
      optimizer: the update rule.
      schedule: learning rate from the initial one on.
      learning_rate: usual initial learning rate.
      loss: the loss on the logits.
      input_shape: (height, width, channels).
      classes: number of classes.
      dtype: type of weights and activations.
    """

    name: str
    model: Node
    optimizer: Optimizer
    schedule: LinearDecay
    learning_rate: float
    loss: SoftmaxLoss = SoftmaxLoss("loss")
    input_shape: Shape = (32, 32, 3)
    classes: int = 10
    dtype: str = "float32"

    @functools.cached_property
    def layers(self) -> tuple[tuple[Layer, Shape], ...]:
        """Every layer with its input shape, in the order of creation."""
        return tuple(self.model.layers(self.input_shape))

    @functools.cached_property
    def parameters(self) -> tuple[Weight, ...]:
        """The trained weights in the order of creation."""
        return tuple(w for layer, s in self.layers for w in layer.parameters(s))

    @functools.cached_property
    def statistics(self) -> tuple[Weight, ...]:
        """The weights that are carried along, such as moving averages."""
        return tuple(w for layer, s in self.layers for w in layer.statistics(s))

    def sites(self, per_replica: int = 128) -> SiteTable:
        """Return the table of all fault sites.

        Args:
          per_replica: images of one replica; positions count within a replica.
        """
        found: list[Site] = []
        for layer, shape in self.layers:
            found += layer.sites(shape, per_replica, self.dtype)
        found += self.loss.sites((self.classes,), per_replica, self.dtype)
        for weight in self.parameters:
            found += self.optimizer.sites(weight.name, weight.shape, self.dtype)
        return SiteTable(found)
