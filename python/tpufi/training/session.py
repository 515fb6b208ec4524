# SPDX-License-Identifier: Apache-2.0
"""A program together with its data, seed and schedule: any step can be entered."""

import dataclasses
import functools

import numpy as np

from tpufi.data import Batches
from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor
from tpufi.errors import InputError
from tpufi.random import derive
from tpufi.training.distributed import DistributedProgram
from tpufi.training.program import Program, StepResult
from tpufi.training.state import State, initial_state
from tpufi.units import UnitFault


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    """One training run; step n is a pure function of the state before it.

    Args:
      program: the compiled step.
      batches: the data in their order.
      seed: seed of weights, order, augmentation and dropout.
      learning_rate: initial learning rate.
    """

    program: Program | DistributedProgram
    batches: Batches
    seed: int
    learning_rate: float

    def __post_init__(self) -> None:
        workload, data = self.program.workload, self.batches.dataset
        wanted = workload.input_dtype, workload.input_shape
        found = data.example_dtype, data.example_shape
        if found != wanted:
            raise InputError(
                f"data set {data.name}: its examples are {found[0]} {found[1]}; "
                f"expected {wanted[0]} {wanted[1]} for {workload.name}; choose data "
                "that fit, see docs/data.md"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Training steps of an epoch."""
        return self.batches.steps

    def initial_state(self) -> State:
        """Return the state before step 0."""
        return initial_state(self.program.workload, self.seed)

    def step(
        self,
        state: State,
        number: int,
        fault: Descriptor | UnitFault | None = None,
    ) -> StepResult:
        """Run a training step.

        Args:
          state: the state before it.
          number: steps since the start of training, from 0.
          fault: what to inject; None for no fault.
        """
        return self.program.step(state, *self.inputs(number), fault, number)

    def inputs(self, number: int) -> tuple[Batch, np.ndarray, float]:
        """Return the batch, the keys for dropout and the learning rate of a step.

        Args:
          number: steps since the start of training, from 0.
        """
        epoch, step = divmod(number, self.steps_per_epoch)
        keys = np.array(
            [
                derive(self.seed, "dropout", epoch, step, replica)
                for replica in range(self.program.replicas)
            ],
            np.uint32,
        )
        rate = self.program.workload.schedule.rate(self.learning_rate, number)
        return self.batches.train(epoch, step), keys, rate

    def evaluate(self, state: State) -> tuple[float, float]:
        """Return mean loss and accuracy over the test examples."""
        results = [
            self.program.evaluate(state, self.batches.test(i))
            for i in range(self.batches.test_steps)
        ]
        count = self.batches.dataset.test_labels.size
        add = functools.partial(np.sum, axis=0)
        loss, correct = add(np.array(results, np.float64))
        return float(loss / count), float(correct / count)
