# SPDX-License-Identifier: Apache-2.0
"""Doing a step again and comparing the bits."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.signals import REPLAY, Network, Signals
from tpufi.errors import InputError


@dataclasses.dataclass(frozen=True)
class ExactReplay(Detector):
    """Scores 1 if a step done again gives other bits, 0 if the same, or not done.

    Every n-th step is done again, and in a run that is protected also every suspicious
    one. It is blind to a fault that does the same both times. A step that is not
    repeatable looks faulty; docs/compatibility.md says what is not repeatable.

    Args:
      every: n, >= 1.
      threshold: largest score without an alarm.
    """

    every: int = 100
    threshold: float = 0.0

    reads: ClassVar = (REPLAY,)
    price: ClassVar = "one step for each step that is done again"

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(
                f"ExactReplay: every {self.every} steps; expected at least 1"
            )

    def due(self, number: int) -> bool:
        """Return whether a step is to be done again, by its number."""
        return number % self.every == 0

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        """Return 0: the code that runs the steps repeats one and puts 1 there."""
        return tf.zeros([]), memory
