# SPDX-License-Identifier: Apache-2.0
"""Makes the runs of a case: approach, golden run, replay, then other golden runs.

Every run goes on where an earlier call was stopped; what is complete is not done again.
"""

import dataclasses
import hashlib
import json
import math
import pathlib

from tpufi.contrib.isca23.reproduction.plan import Case, Plan
from tpufi.contrib.isca23.reproduction.results import (
    Measured,
    Quantity,
    compare_states,
    read_measured,
    write_measured,
)
from tpufi.data import Examples
from tpufi.experiment.judge import Judge, golden_accuracy, points
from tpufi.experiment.replay import ReplayResult, replay
from tpufi.golden import GoldenConfig, GoldenFolder, find_start, train_golden
from tpufi.golden.config import environment
from tpufi.models import workload
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.training import Session, State
from tpufi.training.program import Program

# Steps between the checkpoints of the long runs.
_EVERY = 50


class Runs:
    """Makes and keeps the runs of one workload.

    Args:
      name: the workload.
      plan: the scale.
      data: name of the data set, for the manifests.
      dataset: the data set.
      out: folder for all runs.
    """

    def __init__(
        self, name: str, plan: Plan, data: str, dataset: Examples, out: pathlib.Path
    ):
        self._plan = plan
        self._dataset = dataset
        self._out = out
        self._approach = GoldenConfig(
            name,
            data,
            plan.seed,
            1,
            plan.approach_images,
            workload(name).learning_rate,
            steps_per_epoch=plan.steps_per_epoch,
        )
        self._program: Program | None = None

    def known(self, case: Case) -> Measured | None:
        """Return the measurements of a case if there are any of these runs.

        Raises:
          InputError: they are damaged.
        """
        file = self._file(case)
        if not file.exists():
            return None
        measured = read_measured(file)
        made_of = self._made_of(case, self._session(self._published(case)))
        return measured if measured.made_of == made_of else None

    def measure(self, case: Case, limits: Thresholds) -> Measured:
        """Return the measurements of a case, made before or now.

        Args:
          case: an injection into this workload.
          limits: thresholds for the replay's record.

        Raises:
          InputError: a folder holds something else than this case needs.
        """
        if (measured := self.known(case)) is not None:
            return measured
        approach = self._trained_approach()
        first = self._number(case)
        start = find_start(approach, self._plan.approach_steps, first - self._plan.warm)
        golden = dataclasses.replace(self._published(case), start=start)
        session = self._session(golden)
        folder = self._folder(case)
        # A checkpoint at each: to enter, and to compare the faulty step. One step more
        # stands beside a loss that is not finite after a fault in the backward pass.
        for steps in (first, first + 1, first + 2):
            train_golden(golden, folder, steps, _EVERY, session, approach)
        measured = self._replayed(case, golden, limits)
        write_measured(measured, self._file(case))
        return measured

    def widen(self, case: Case, measured: Measured) -> Measured:
        """Add the other golden runs to measurements that stayed finite.

        Args:
          case: an injection into this workload.
          measured: what `measure` returned for it.
        """
        seeds = self._plan.other_seeds[len(measured.others) :]
        if measured.ended_early or not seeds:
            return measured
        folder = self._folder(case)
        golden, _ = GoldenFolder(folder).read_manifest()
        first, end = measured.first, measured.first + len(measured.faulty)
        for seed in seeds:
            start = find_start(folder, first)
            config = dataclasses.replace(golden, seed=seed, start=start)
            path = folder.with_name(f"{folder.name}_seed{seed}")
            session = self._session(config)
            train_golden(config, path, end, _EVERY, session, folder)
            other = GoldenFolder(path)
            accuracy = golden_accuracy(other, session, end)
            found = points(other, other.curve(), range(first, end))
            validation = measured.validation
            measured = dataclasses.replace(
                measured,
                others=(*measured.others, found),
                validation=dataclasses.replace(
                    validation, golden=(*validation.golden, accuracy)
                ),
            )
            write_measured(measured, self._file(case))
        return measured

    def _replayed(
        self, case: Case, golden: GoldenConfig, limits: Thresholds
    ) -> Measured:
        first = self._number(case)
        folder = self._folder(case)
        session = self._session(golden)
        evidence: dict[str, Quantity] = {}

        def observe(number: int, state: State) -> None:
            if number == first:
                right = GoldenFolder(folder).load(workload(golden.workload), first + 1)
                evidence.update(compare_states(right, state))

        def follow(steps: int) -> tuple[pathlib.Path, ...]:
            train_golden(golden, folder, first + steps, _EVERY, session)
            return ()

        result = replay(
            case.injection,
            folder,
            name=case.file.stem,
            out=self._out,
            horizon=self._plan.horizon,
            session=session,
            judge=Judge(limits, lambda: follow(self._plan.horizon), True),
            observe=observe,
        )
        count = len(result.faulty)
        follow(count)  # Also if the run ended early, for the steps that it has.
        curve = GoldenFolder(folder).curve()
        return Measured(
            self._made_of(case, session),
            first,
            result.faulty,
            points(GoldenFolder(folder), curve, range(first, first + count)),
            (),
            # Validation is left out only if a loss was not finite.
            not math.isfinite(result.faulty[-1].loss) or result.validation is None,
            result.validation,
            evidence,
            _injected(result),
        )

    def _trained_approach(self) -> pathlib.Path:
        path = self._out / f"approach_{self._approach.workload}"
        session = self._approach.session(self._dataset)
        train_golden(self._approach, path, self._plan.approach_steps, _EVERY, session)
        return path

    def _published(self, case: Case) -> GoldenConfig:
        """Return the configuration of the published size, but for its start."""
        return dataclasses.replace(
            self._approach,
            replicas=self._plan.replicas,
            per_replica=self._plan.per_replica,
            learning_rate=case.injection.learning_rate,
        )

    def _folder(self, case: Case) -> pathlib.Path:
        return self._out / f"golden_{_name(case)}"

    def _file(self, case: Case) -> pathlib.Path:
        return self._out / f"measured_{_name(case)}.json"

    def _session(self, config: GoldenConfig) -> Session:
        """Return a session; all of the published size share one compiled program."""
        session = config.session(self._dataset, self._program)
        self._program = session.program
        return session

    def _number(self, case: Case) -> int:
        injection = case.injection
        epoch, step = injection.target_epoch, injection.target_step
        return epoch * self._plan.steps_per_epoch + step

    def _made_of(self, case: Case, session: Session) -> dict[str, object]:
        made_of = {
            "plan": dataclasses.asdict(self._plan),
            "injection": hashlib.sha256(case.file.read_bytes()).hexdigest(),
            "environment": environment(session),
        }
        # As it is read back: JSON has lists only.
        return json.loads(json.dumps(made_of))


def _name(case: Case) -> str:
    return case.label.replace("/", "_")


def _injected(result: ReplayResult) -> tuple[tuple[str, str], ...]:
    """Return the faulty bits before and after, from the record of the replay."""
    for line in result.paths[1].read_text().splitlines():
        entry = json.loads(line)
        if "injection" in entry:
            fault = entry["injection"]
            return tuple(zip(fault["golden_bits"], fault["faulty_bits"], strict=True))
    raise AssertionError("a replay with a fault records what was injected")
