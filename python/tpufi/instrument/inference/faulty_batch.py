# SPDX-License-Identifier: Apache-2.0
"""One batch of a campaign: its golden answers, and its answers under faults."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.site_fault import SiteFault


class FaultyBatch:
    """A batch that is run many times.

    Args:
      fi: the program, of one output [items, ...].
      inputs: the batch.

    Attributes:
      inputs: the batch.
      golden: its answers without a fault.

    Raises:
      InputError: the program has another output.
    """

    def __init__(self, fi: Instrumented, inputs: tf.Tensor):
        self._fi, self.inputs = fi, inputs
        self.golden = answers(fi, inputs)

    def inject(self, faults: Sequence[SiteFault]) -> np.ndarray:
        """Return the answers of a run with these faults.

        Raises:
          InputError: a fault was not injected exactly once.
        """
        run = self._fi.run(faults, self.inputs)
        missed = [s.site.name for s in run.injections if s.times != 1]
        if missed:
            raise InputError(
                f"{missed[0]} did not run exactly once; leave it out of sites="
            )
        return run.outputs.numpy()


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
