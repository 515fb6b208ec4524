# SPDX-License-Identifier: Apache-2.0
"""One replica's training step of a workload on random data, with and without faults."""

from collections.abc import Iterator

import numpy as np

from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor, fault_row
from tpufi.models import workload
from tpufi.training import Program, State, initial_state

SITE = "basicblock_2_basic_0_conv2/forward/output"
BACKWARD_SITE = "basicblock_2_basic_0_conv2/grad_in/output"
REFERENCE_SITE = "basicblock_2_basic_0_conv2/grad_in/input"
EXAMPLES_SITE = "conv1/grad_in/output"  # A gradient that nothing reads.


class StepBench:
    """ResNet-18 with a state and a batch; the programs are made from it.

    Args:
      images: images in a step, >= 1.
      compiled: whether XLA compiles the programs.

    Attributes:
      ours: the program with faults; its steps without a fault are clean, too.
      clean: a program that has never traced its armed step.
    """

    def __init__(self, images: int, compiled: bool = False):
        rng = np.random.default_rng(1)
        shape = (1, images)
        self.work = workload("resnet18")
        self.images = images
        self.batch = Batch(
            rng.normal(size=(*shape, *self.work.input_shape)).astype(np.float32),
            rng.integers(0, self.work.classes, shape).astype(np.int32),
            np.ones(shape, bool),
        )
        self.keys = rng.integers(0, 1 << 32, (1, 2), dtype=np.uint32)
        self.state = initial_state(self.work, 1)
        self.ours = Program(self.work, 1, images, compiled=compiled)
        self.clean = Program(self.work, 1, images, compiled=compiled)

    def step(self, program: Program, fault: Descriptor | None = None) -> State:
        """Run one step to its end."""
        rate = self.work.learning_rate
        return program.step(self.state, self.batch, self.keys, rate, fault).state

    def at(self, site: str, operation: str, **how: object) -> Descriptor:
        """Return a fault of 64 elements of a site unless `how` says otherwise."""
        row = {"replica": 0, "start": 1600, "count": 64, "operation": operation, **how}
        return fault_row(site=self.ours.table.id_of(site), **row)

    def run_of_words(self) -> Descriptor:
        """Return the fault that replaces 64 elements by given words."""
        return self.at(SITE, "replace", words=list(range(64)))

    def anywhere(self, count: int) -> Iterator[Descriptor]:
        """Yield `count` faults of up to 64 given words, each at another random site."""
        rng = np.random.default_rng(2)
        for site in rng.permutation(len(self.ours.table))[:count].tolist():
            size = self.ours.table[site].size
            length = min(64, size)
            yield fault_row(
                site=site,
                replica=0,
                start=int(rng.integers(0, size - length + 1)),
                count=length,
                operation="replace",
                words=rng.integers(0, 1 << 32, length).tolist(),
            )

    def other_faults(self) -> dict[str, Descriptor]:
        """Return a fault of every operation, and of the other kinds of site."""
        words = list(range(64))
        many, key = {"start": 0, "count": 8000}, [7]
        rate = {"keep": (1 << 32) - 1, "words": [7, 4295]}
        return {
            "armed replace": self.run_of_words(),
            "armed flip": self.at(SITE, "flip", words=[1 << 30]),
            "armed zero": self.at(SITE, "zero"),
            "armed random": self.at(SITE, "random", words=key, **many),
            "armed random_bits": self.at(SITE, "random_bits", words=key, **many),
            "armed copy": self.at(SITE, "copy", words=words),
            "armed copy_random": self.at(SITE, "copy_random", words=key, **many),
            "armed error_rate": self.at(SITE, "error_rate", **rate),
            "armed add": self.at(SITE, "add", words=[0x3F800000]),
            "armed multiply": self.at(SITE, "multiply", words=[0x40000000]),
            "armed backward": self.at(BACKWARD_SITE, "replace", words=words),
            "armed reference": self.at(REFERENCE_SITE, "replace", words=words),
            "armed examples": self.at(EXAMPLES_SITE, "replace", words=words),
        }
