# SPDX-License-Identifier: Apache-2.0
"""One replica's training step of a workload on random data, with and without faults."""

import contextlib
from collections.abc import Iterator

import numpy as np

from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor, fault_row
from tpufi.errors import InputError
from tpufi.layers.lowering import BRANCH, LEAN
from tpufi.models import workload
from tpufi.training import Program, State, initial_state
from tpufi.training.fault_check import check_fault

SITE = "basicblock_2_basic_0_conv2/forward/output"
BACKWARD_SITE = "basicblock_2_basic_0_conv2/grad_in/output"
TEXTBOOK_SITE = "basicblock_2_basic_0_conv2/grad_in/input"


class StepBench:
    """ResNet-18 with a state and a batch; the programs are made from it.

    Args:
      images: images in a step, >= 1.
      compiled: whether XLA compiles the programs; sites are lean then (decision 0014).
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
        lowering = LEAN if compiled else BRANCH
        self.ours = Program(
            self.work, 1, images, jit_compile=compiled, lowering=lowering
        )
        self.clean = Program(
            self.work, 1, images, with_sites=False, jit_compile=compiled
        )

    def step(self, program: Program, fault: Descriptor | None = None) -> State:
        """Run one step to its end."""
        rate = self.work.learning_rate
        return program.step(self.state, self.batch, self.keys, rate, fault).state

    def at(self, site: str, **how: object) -> Descriptor:
        """Return a fault of 64 elements of a site unless `how` says otherwise."""
        row = {"replica": 0, "start": 1600, "count": 64, **how}
        return fault_row(site=self.ours.table.id_of(site), **row)

    def words(self) -> Descriptor:
        """Return the fault of 64 given words."""
        return self.at(SITE, rule="words", words=list(range(64)))

    def words_at(self, site: int, rng: np.random.Generator) -> Descriptor:
        """Return up to 64 given words at a random place of a site, not at padding.

        Args:
          site: id of the site.
          rng: draws the place and the words.
        """
        size = self.ours.table[site].size
        for count in [min(64, size)] * 20 + [1] * 100:
            start = int(rng.integers(0, size - count + 1))
            words = rng.integers(0, 1 << 32, count).tolist()
            row = {"replica": 0, "start": start, "count": count, "words": words}
            fault = fault_row(site=site, rule="words", **row)
            with contextlib.suppress(InputError):
                table, lowering = self.ours.table, self.ours.lowering
                check_fault(fault, lowering, self.work, table, self.images)
                return fault
        raise RuntimeError(f"no place found in {self.ours.table[site].name}")

    def words_anywhere(self, count: int) -> Iterator[Descriptor]:
        """Yield `count` faults of up to 64 given words, each at another random site."""
        rng = np.random.default_rng(2)
        for site in rng.permutation(len(self.ours.table))[:count].tolist():
            yield self.words_at(site, rng)

    def other_faults(self) -> dict[str, Descriptor]:
        """Return a fault of each other value rule, and of the other kinds of site."""
        words = list(range(64))
        all_bits = (1 << 32) - 1
        return {
            "armed convolution": self.words(),
            "armed repeat": self.at(SITE, rule="repeat", keep=-1, words=[1 << 30]),
            "armed random": self.at(SITE, rule="random", count=16000, words=[7]),
            "armed copy": self.at(SITE, rule="copy", words=words),
            "armed copy_random": self.at(
                SITE, rule="copy_random", count=16000, words=[7]
            ),
            "armed error_rate": self.at(
                SITE, rule="error_rate", keep=all_bits, words=[7, 4295]
            ),
            "armed add": self.at(SITE, rule="add", words=[0x3F800000] * 64),
            "armed multiply": self.at(SITE, rule="multiply", words=[0x40000000] * 64),
            "armed backward": self.at(BACKWARD_SITE, rule="words", words=words),
            "armed textbook": self.at(TEXTBOOK_SITE, rule="words", words=words),
        }
