# SPDX-License-Identifier: Apache-2.0
"""Training steps of the armed program without a fault, against clean ones."""

import numpy as np

from tests.drawn_examples import drawn_examples
from tpufi.data.batches import Batch
from tpufi.descriptor import disarmed
from tpufi.training import Program, initial_state, same_state
from tpufi.workload import Workload


def check_disarmed_steps(workload: Workload, steps: int = 3) -> None:
    """Train on two replicas of four images; losses and states agree by bits."""
    rng = np.random.default_rng(5)
    program = Program(workload, 2, 4)
    states = [initial_state(workload, 4)] * 2
    for _ in range(steps):
        images, labels = drawn_examples(workload, rng, (2, 4))
        images = images.astype(workload.input_dtype)
        batch = Batch(images, labels, np.ones((2, 4), bool))
        keys = rng.integers(0, 1 << 32, (2, 2), np.uint32)
        results = [
            program.step(state, batch, keys, workload.learning_rate, fault)
            for state, fault in zip(states, (disarmed(), None), strict=True)
        ]
        assert np.isfinite(results[0].loss)
        assert results[0].loss == results[1].loss
        states = [result.state for result in results]
        assert same_state(*states)
