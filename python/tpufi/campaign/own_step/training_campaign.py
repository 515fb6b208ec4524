# SPDX-License-Identifier: Apache-2.0
"""A campaign over a training step, from Python."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import tpufi
from tpufi.campaign.engine.here_pool import HerePool, HereWorker
from tpufi.campaign.engine.interrupt import interruptible
from tpufi.campaign.engine.replayed import Replayed, replay_experiments
from tpufi.campaign.engine.run import Scale, run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.own_models import model_of
from tpufi.campaign.own_step.loaded import LoadedStep
from tpufi.campaign.own_step.monitors import Metrics, Monitor, monitors_of
from tpufi.campaign.own_step.runner import StepRunner
from tpufi.campaign.own_step.step_plan import StepPlan
from tpufi.campaign.own_step.subject import StepSubject
from tpufi.campaign.own_step.training_program import TrainingProgram
from tpufi.campaign.result import CampaignResult
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.subject import no_sign
from tpufi.campaign.unit_keys import is_kind, named_unit
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.plan import SamplingPlan
from tpufi.faults.unit_model import UnitModel
from tpufi.outcomes.outcome_thresholds import Thresholds, read_thresholds
from tpufi.training import make_deterministic
from tpufi.when import When

AnyModel = str | FaultModel | UnitModel


class TrainingCampaign:
    """Many trainings with one fault each, by a step of the user.

    The golden run is made first. Each experiment starts from its state before the
    faulty step, runs that step with the fault, and is followed until its state is
    golden again, its loss is not finite, or the horizon is reached.

    `make_deterministic` is called, which holds for the whole process. Experiments run
    in this process; for workers, write the function that makes the program into a file
    and run `tpufi campaign run` (docs/training_campaigns.md).

    Args:
      step: see `TrainingProgram`.
      state: see `TrainingProgram`.
      data: see `TrainingProgram`.
      steps: first and last step that faults are injected into, from 0.
      horizon: steps to follow an experiment, the one with the fault included.
      faults: fault models, their names or `file.py:NAME`; a processing element that
        is broken, `pe:ROWSxCOLUMNS/DATAFLOW` or a `UnitModel` of one; of a mapping the
        weights.
      monitors: what could notice a fault, see `monitors.monitor_of`.
      experiments: how many.
      seed: of all draws.
      sites: operation types to inject into; empty: all that compute floats.
      weights: how the site is drawn: `elements`, `sites` or `macs`.
      patterns: names of sites to draw from; empty: all.
      directions: among `forward`, `backward` and `update`; empty: all.
      durations: shortest and longest duration of a fault in steps.
      when: in which steps from the drawn one on a fault is injected, and how often, in
        place of durations; see `tpufi.When`.
      stop: other stop rules; its number of experiments counts.
      thresholds: of the outcome classes.
      name: of the program, for reports.

    Raises:
      InputError: an argument is wrong, or the step is not repeatable.

    Example:
      >>> import tensorflow as tf
      >>> w = tf.Variable([0.0, 0.0])
      >>> def step(x, y):
      ...     with tf.GradientTape() as tape:
      ...         loss = tf.reduce_mean((tf.linalg.matvec(x, w) - y) ** 2)
      ...     w.assign_sub(0.1 * tape.gradient(loss, w))
      ...     return loss
      >>> x = tf.constant([[1.0, 0.0], [0.0, 1.0]])
      >>> campaign = TrainingCampaign(
      ...     step, w, [(x, tf.constant([1.0, 2.0]))], steps=(2, 8), horizon=5
      ... )
      >>> campaign.subject.golden_steps
      7
    """

    def __init__(
        self,
        step: Callable,
        state: object = None,
        data: Sequence | Callable[[int], object] = (),
        *,
        steps: tuple[int, int],
        horizon: int,
        faults: Sequence[AnyModel] | Mapping[AnyModel, float] = ("FLIP",),
        monitors: Sequence[Monitor | str | Callable[[Metrics], bool]] = (),
        experiments: int = 200,
        seed: int = 0,
        sites: Sequence[str] = (),
        weights: str = "elements",
        patterns: Sequence[str] = (),
        directions: Sequence[str] = (),
        durations: tuple[int, int] = (1, 1),
        when: When | None = None,
        stop: StopRule | None = None,
        thresholds: Thresholds | None = None,
        name: str = "training step",
    ):
        make_deterministic()
        given = faults if isinstance(faults, Mapping) else dict.fromkeys(faults, 1)
        models = tuple(
            (_model_of(one, when), Fraction(weight)) for one, weight in given.items()
        )
        own = monitors_of(monitors)
        plan = StepPlan(
            name,
            seed,
            SamplingPlan(
                models=models,
                site_weights=weights,
                patterns=tuple(patterns),
                directions=tuple(directions),
                epochs=(0, 0),
                steps=steps,
                durations=durations,
                replicas=(0,),
                when=when,
            ),
            horizon,
            stop or StopRule(experiments),
            thresholds or read_thresholds(),
            tuple(sites),
            tuple(monitor.name for monitor in own),
        )
        program = TrainingProgram(step, state, data)
        loaded = LoadedStep(plan, program, own)
        self.subject = _HereSubject.of_loaded(plan, loaded)
        self.subject = dataclasses.replace(self.subject, loaded=loaded)

    def run(
        self, folder: str | os.PathLike[str], scale: Scale | None = None
    ) -> CampaignResult:
        """Run what is missing of the campaign; stop or kill it at any moment.

        Args:
          folder: of the campaign, with its journal; made if need be.
          scale: how the work is cut; None: as usual.

        Raises:
          InputError: another campaign's journal, or no space is left.
        """
        path = pathlib.Path(folder)
        worker = HereWorker(self.subject.open)
        with interruptible() as stopping:
            ended = run_campaign(
                self.subject,
                path,
                self.subject.manifest(),
                self.subject.session(sys.argv, tpufi.__version__),
                lambda: HerePool(worker),
                Watcher(),
                scale or Scale(),
                stopping,
                allow_inactive=True,
            )
        return CampaignResult(path, ended.reason)

    def replay(
        self, folder: str | os.PathLike[str], *numbers: int
    ) -> Iterator[Replayed]:
        """Do experiments again and compare them with their rows.

        Raises:
          InputError: no such experiment, or the campaign is of another program.
        """
        return replay_experiments(pathlib.Path(folder), numbers, subject=self.subject)


def _model_of(given: AnyModel, when: When | None) -> FaultModel | UnitModel:
    if not isinstance(given, str):
        return given
    if is_kind(given):
        return named_unit(given, when)
    return model_of(given, pathlib.Path())


@dataclasses.dataclass(frozen=True)
class _HereSubject(StepSubject):
    """A program that is loaded in this process and cannot be sent to another."""

    loaded: LoadedStep | None = None

    def open(self, alive: Callable[[], None] = no_sign) -> StepRunner:
        return self.opened(self.loaded, alive)
