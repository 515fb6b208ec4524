# SPDX-License-Identifier: Apache-2.0
"""One batch of a campaign: its golden answers, and its answers under faults."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.descriptor import CAPACITY
from tpufi.errors import InputError
from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.instrument.controls import Control, Kind, kind_of
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.program_space import ProgramSpace
from tpufi.instrument.unit_record import UnitRecord

# Reads elements of the whole tensor, those of other items too.
_OF_THE_TENSOR = ("copy_random",)


class Answer(NamedTuple):
    """What a program answered to an item under its fault.

    Args:
      value: the answer.
      passed: values that passed through a unit while it was broken; None: the fault was
        of a site.
    """

    value: np.ndarray
    passed: int | None = None


class FaultyBatch:
    """A batch that is run many times, each item with a separate fault.

    Args:
      fi: the program, of one output [items, ...].
      inputs: the batch.
      space: where faults can be injected, with the items of the batch.
      controls: what golden runs are given, by the kind of the faults.

    Attributes:
      inputs: the batch.

    Raises:
      InputError: the program has another output.
    """

    def __init__(
        self,
        fi: Instrumented,
        inputs: tf.Tensor,
        space: ProgramSpace,
        controls: Mapping[Kind, Control],
    ):
        self._fi, self.inputs, self._space = fi, inputs, space
        self._golden = {k: answers(fi, inputs, c) for k, c in controls.items()}

    def golden(self, fault: AnyFault) -> np.ndarray:
        """Return the answers without the fault, of the program that it is put into."""
        return self._golden[kind_of(fault)]

    def inject(self, faults: Sequence[AnyFault]) -> list[Answer | None]:
        """Return the answer to each item under its fault.

        Faults of items that do not touch each other are one run. A unit has a part in
        the answers to all items, so each has a separate run.

        Args:
          faults: one for each item, as it was drawn.

        Returns:
          None where the fault was not injected exactly once.

        Raises:
          InputError: a fault does not fit its site.
        """
        found: list[Answer | None] = [None] * len(faults)
        beyond = [self._reaches_beyond(fault) for fault in faults]
        together = [item for item, is_alone in enumerate(beyond) if not is_alone]
        alone = [[item] for item, is_alone in enumerate(beyond) if is_alone]
        for items in ([together] if together else []) + alone:
            given = [self._space.of_item(faults[item], item) for item in items]
            run = self._fi.noted_run(given, CAPACITY, self.inputs)
            missed = [i.fault for i in run.injections if _is_missed(i)]
            passed = [i.passed for i in run.injections if isinstance(i, UnitRecord)]
            outputs = run.outputs.numpy()
            for item, fault in zip(items, given, strict=True):
                if not any(fault is other for other in missed):
                    found[item] = Answer(outputs[item], *passed)
        return found

    def _reaches_beyond(self, fault: AnyFault) -> bool:
        """Whether a fault is not only in the part that its item has of the tensor."""
        if isinstance(fault, BrokenUnit):
            return True
        return self._space.is_shared(fault.site) or fault.operation in _OF_THE_TENSOR


def answers(fi: Instrumented, inputs: tf.Tensor, control: Control = ()) -> np.ndarray:
    """Return the golden answers to a batch, one for each item.

    Args:
      fi: the program.
      inputs: the batch.
      control: what the golden run is given.

    Raises:
      InputError: the program has another output.
    """
    outputs = fi.noted_run(control, CAPACITY, inputs).outputs
    items = int(inputs.shape[0])
    if not tf.is_tensor(outputs) or outputs.shape.rank in (None, 0):
        raise InputError("an inference campaign needs a program of one output")
    if outputs.shape[0] != items:
        raise InputError(
            f"{items} items in, {outputs.shape[0]} out; the first axis of the "
            "output has to be the batch"
        )
    return outputs.numpy()


def _is_missed(injection: InjectionRecord | UnitRecord) -> bool:
    """Whether a fault of a site was not injected exactly once."""
    return isinstance(injection, InjectionRecord) and injection.times != 1
