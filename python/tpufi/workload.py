# SPDX-License-Identifier: Apache-2.0
"""A workload: model, loss, optimiser and schedule, and the sites they offer."""

import dataclasses
import functools

from tpufi.errors import InputError
from tpufi.layers.layer import Layer, Node, Shape, Weight
from tpufi.layers.softmax_loss import SoftmaxLoss
from tpufi.optimizers import LinearDecay, Optimizer
from tpufi.site_table import Site, SiteTable


@dataclasses.dataclass(frozen=True)
class Workload:
    """One training task.

    Args:
      name: key in `tpufi.models.WORKLOADS` and in injection files.
      model: maps images to logits, or tokens to the logits of each.
      optimizer: the update rule.
      schedule: learning rate from the initial one on.
      learning_rate: usual initial learning rate.
      loss: the loss on the logits.
      input_shape: (height, width, channels), or (context,) of tokens.
      classes: number of classes; tokens are below it as well.
      dtype: type of weights and activations.
      input_dtype: `float32`, or `int32` for tokens.

    Raises:
      InputError: the model is not made of `tpufi.layers`.
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
    input_dtype: str = "float32"

    def __post_init__(self):
        if not isinstance(self.model, Node):
            kind = f"{type(self.model).__module__.split('.')[0]}'s "
            raise InputError(
                f"Workload {self.name}: model is {kind}{type(self.model).__name__}; a "
                "workload is made of tpufi.layers, whose backward pass has fault sites "
                "(docs/how_to/own_workload.md); for a model as it is, use "
                "tpufi.instrument(model) or tpufi.instrument(model.train_step)"
            )

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
          per_replica: examples of one replica; positions count within a replica.
        """
        found: list[Site] = []
        for layer, shape in self.layers:
            found += layer.sites(shape, per_replica, self.dtype)
        logits = self.model.output_shape(self.input_shape)
        found += self.loss.sites(logits, per_replica, self.dtype)
        for weight in self.parameters:
            found += self.optimizer.sites(weight.name, weight.shape, self.dtype)
        return SiteTable(found)
