# SPDX-License-Identifier: Apache-2.0
"""One batch of a campaign: its golden answers, and its answers under faults."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.prefix.clean_prefix import CleanPrefix
from tpufi.instrument.prefix.cut_program import CutProgram
from tpufi.instrument.site_fault import SiteFault


class StruckBatch:
    """A batch that is run many times.

    Args:
      fi: the program, of one output [items, ...].
      inputs: the batch.
      cuts: to run from the first fault on; None: each run is a whole one.

    Attributes:
      inputs: the batch.
      golden: its answers without a fault.

    Raises:
      InputError: the program has another output.
    """

    def __init__(self, fi: Instrumented, inputs: tf.Tensor, cuts: CutProgram | None):
        self.inputs = inputs
        self.golden = _answers(fi, inputs)
        if cuts is None:
            self._run = lambda faults: fi.strike(faults, inputs)
        else:
            self._run = CleanPrefix(fi, cuts, (inputs,)).strike

    def strike(self, faults: Sequence[SiteFault]) -> np.ndarray:
        """Return the answers of a run with these faults.

        Raises:
          InputError: a fault did not strike exactly once.
        """
        run = self._run(faults)
        missed = [s.site.name for s in run.strikes if s.times != 1]
        if missed:
            raise InputError(
                f"{missed[0]} did not run exactly once; leave it out of sites="
            )
        return run.outputs.numpy()


def _answers(fi: Instrumented, inputs: tf.Tensor) -> np.ndarray:
    outputs = fi.strike((), inputs).outputs
    items = int(inputs.shape[0])
    if not tf.is_tensor(outputs) or outputs.shape.rank in (None, 0):
        raise InputError("an inference campaign needs a program of one output")
    if outputs.shape[0] != items:
        raise InputError(
            f"{items} items in, {outputs.shape[0]} out; the first axis of the "
            "output has to be the batch"
        )
    return outputs.numpy()
