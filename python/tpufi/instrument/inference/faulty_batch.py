# SPDX-License-Identifier: Apache-2.0
"""One batch of a campaign: its golden answers, and its answers under faults."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import CAPACITY
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.program_space import ProgramSpace

# Reads elements of the whole tensor, those of other items too.
_OF_THE_TENSOR = ("copy_random",)


class FaultyBatch:
    """A batch that is run many times, each item with a separate fault.

    Args:
      fi: the program, of one output [items, ...].
      inputs: the batch.
      space: where faults can be injected, with the items of the batch.

    Attributes:
      inputs: the batch.
      golden: its answers without a fault.

    Raises:
      InputError: the program has another output.
    """

    def __init__(self, fi: Instrumented, inputs: tf.Tensor, space: ProgramSpace):
        self._fi, self.inputs, self._space = fi, inputs, space
        self.golden = answers(fi, inputs)

    def inject(self, faults: Sequence[Fault]) -> list[np.ndarray | None]:
        """Return the answer to each item under its fault.

        Faults of items that do not touch each other are one run.

        Args:
          faults: one for each item, as it was drawn.

        Returns:
          None where the fault was not injected exactly once.

        Raises:
          InputError: a fault does not fit its site.
        """
        found: list[np.ndarray | None] = [None] * len(faults)
        beyond = [self._reaches_beyond(fault) for fault in faults]
        together = [item for item, is_alone in enumerate(beyond) if not is_alone]
        alone = [[item] for item, is_alone in enumerate(beyond) if is_alone]
        for items in ([together] if together else []) + alone:
            given = [self._space.of_item(faults[item], item) for item in items]
            run = self._fi.noted_run(given, CAPACITY, self.inputs)
            missed = [i.fault for i in run.injections if i.times != 1]
            outputs = run.outputs.numpy()
            for item, fault in zip(items, given, strict=True):
                if not any(fault is other for other in missed):
                    found[item] = outputs[item]
        return found

    def _reaches_beyond(self, fault: Fault) -> bool:
        """Whether a fault is not only in the part that its item has of the tensor."""
        return self._space.is_shared(fault.site) or fault.operation in _OF_THE_TENSOR


def answers(fi: Instrumented, inputs: tf.Tensor) -> np.ndarray:
    """Return the golden answers to a batch, one for each item.

    Raises:
      InputError: the program has another output.
    """
    outputs = fi.run((), inputs).outputs
    items = int(inputs.shape[0])
    if not tf.is_tensor(outputs) or outputs.shape.rank in (None, 0):
        raise InputError("an inference campaign needs a program of one output")
    if outputs.shape[0] != items:
        raise InputError(
            f"{items} items in, {outputs.shape[0]} out; the first axis of the "
            "output has to be the batch"
        )
    return outputs.numpy()
