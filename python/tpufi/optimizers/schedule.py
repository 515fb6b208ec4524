# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules, computed on the host."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LinearDecay:
    """Go linearly from the initial to the final rate, then stay.

    Args:
      final: last learning rate.
      steps: updates until it is reached, >= 1.

    Source: facts of the ISCA'23 artefact (polynomial decay of power 1).
    """

    final: float
    steps: int

    def rate(self, initial: float, step: int) -> float:
        """Return the rate of the update `step` (0 for the first)."""
        done = min(step, self.steps) / self.steps
        return (initial - self.final) * (1 - done) + self.final
