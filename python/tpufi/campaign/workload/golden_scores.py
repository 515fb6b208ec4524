# SPDX-License-Identifier: Apache-2.0
"""The golden run under detectors: scores of its steps, and what they remember."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tpufi.campaign.plan import CampaignPlan
from tpufi.detect import WatchedSession
from tpufi.errors import InputError
from tpufi.experiment.fork import GoldenWalk
from tpufi.golden import GoldenFolder, open_golden
from tpufi.training import make_deterministic, state_digest


@dataclasses.dataclass(frozen=True, eq=False)
class GoldenScores:
    """What detectors made of a golden run.

    Args:
      first: number of its first step.
      scores: float32, of each step, by detector.
      memories: what the detectors remember before a step, by its number: of each step
        that an experiment can fork at.
      alarms: steps with an alarm, by detector.
    """

    first: int
    scores: Mapping[str, np.ndarray]
    memories: Mapping[int, Any]
    alarms: Mapping[str, int]

    @property
    def steps(self) -> int:
        """Steps of the golden run."""
        return len(next(iter(self.scores.values())))


def watched_alone(plan: CampaignPlan) -> GoldenScores:
    """Return `golden_scores` in a process of their own, which is deterministic."""
    make_deterministic()
    return golden_scores(plan)


def golden_scores(plan: CampaignPlan) -> GoldenScores:
    """Walk the golden run of a plan under its detectors.

    Args:
      plan: with detectors.

    Raises:
      InputError: the golden run was compiled, or a watched step has other bits.
    """
    config, manifest = GoldenFolder(plan.golden).read_manifest()
    if config.compiled:
        raise InputError(
            "detectors: XLA may round a watched step otherwise; name a golden run that "
            "was trained in graph mode"
        )
    folder, session = open_golden(plan.golden, sites=())
    watched = WatchedSession(session, plan.watching())
    curve, first = folder.curve(), config.first_step
    moments = plan.moments(manifest["steps_per_epoch"])
    state = GoldenWalk(folder, session).state(first)
    memory, memories, rows = watched.memory(), {}, []
    for number in range(first, max(curve) + 1):
        if moments.first <= number <= moments.last:
            memories[number] = tf.nest.map_structure(np.asarray, memory)
        found = watched.step(state, number, memory)
        state, memory = found.result.state, found.memory
        rows.append([found.scores[name] for name in watched.detectors])
        if state_digest(state) != curve[number]["state"]:
            raise InputError(
                f"{plan.golden}: step {number} has other bits when it is watched; use "
                "the same set-up, or train a new golden run here"
            )
    scores = np.array(rows, np.float32).T
    by_name = dict(zip(watched.detectors, scores, strict=True))
    alarms = {
        name: sum(map(watched.detectors[name].alarms, own.tolist()))
        for name, own in by_name.items()
    }
    return GoldenScores(first, by_name, memories, alarms)
