# SPDX-License-Identifier: Apache-2.0
"""What looks at a training step from within its program."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tpufi.layers.layer import LayerPass, Passes
from tpufi.training.state import State, Tensors
from tpufi.training.step_values import ReplicaResult, StepInputs


class Looked(NamedTuple):
    """What a watch sees of a step.

    Args:
      before: the state before the step, as it is read from memory, broken or not.
      after: the state that it wrote, before memory that is broken alters it.
      gradients: by parameter name, summed over the replicas.
      loss: mean loss over the global batch.
      rate: scalar learning rate.
      noted: what the watch noted of each replica, each tensor behind an axis of them.
    """

    before: State
    after: State
    gradients: Tensors
    loss: tf.Tensor
    rate: tf.Tensor
    noted: Any


# Sees each layer with its passes while a replica's program is made.
Observer = Callable[[Passes, LayerPass], None]


class Watch(abc.ABC):
    """Looks at a step from within its program; the step's own results stay."""

    @abc.abstractmethod
    def observer(self) -> Observer | None:
        """Return what looks at the layers of one replica; None: nothing does."""

    @abc.abstractmethod
    def note(
        self, own: ReplicaResult, inputs: StepInputs, observer: Observer | None
    ) -> Any:
        """Return what to keep of one replica: a nest of tensors, maybe empty.

        Args:
          own: what the replica contributes.
          inputs: its inputs.
          observer: has seen its layers; None: only shapes and types are asked for.
        """

    @abc.abstractmethod
    def restricted(self, gradients: Tensors) -> Tensors:
        """Return the gradients that the update takes, as they are unless it mitigates.

        Args:
          gradients: by parameter name, summed over the replicas.
        """

    @abc.abstractmethod
    def look(self, looked: Looked, memory: Any) -> Any:
        """Return what it makes of a step.

        Args:
          looked: the step.
          memory: what it keeps from step to step, a nest of tensors.
        """
