# SPDX-License-Identifier: Apache-2.0
"""The plan of a campaign: all that determines its experiments."""

import abc
import dataclasses
import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tpufi.campaign.journal.manifest import files_digest
from tpufi.campaign.own_models import own_digests
from tpufi.campaign.stop_rule import STRATUM_KEYS, StopRule
from tpufi.campaign.unit_keys import unit_entries
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.csv import injection_text
from tpufi.faults.error_model import error_model_text
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.injection_file import InjectionFile
from tpufi.faults.plan import SamplingPlan, SiteSpace
from tpufi.faults.sampler import FaultSource, GivenFaults, Sampler
from tpufi.faults.unit_model import UnitModel
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.site_table import Site, SiteTable
from tpufi.user_file import named_parts, short_name
from tpufi.when_text import when_text


class Plan(abc.ABC):
    """What a campaign does. Experiment i is a pure function of the plan and i.

    Attributes:
      seed: of the campaign, 0 <= seed < 2**64.
      stop: when there are enough experiments.
    """

    seed: int
    stop: StopRule

    @abc.abstractmethod
    def identity(self) -> dict[str, object]:
        """Return what determines the rows of the journal, as plain JSON values.

        The stop rule is not part of it, but for its allocation: a campaign can be made
        longer later. Files are known by their content, not by their folder.
        """


@dataclasses.dataclass(frozen=True)
class CampaignPlan(Plan):
    """A campaign of trainings of a workload.

    Args:
      workload: name of the workload.
      golden: folder of the golden run that experiments fork from.
      seed: of the campaign, 0 <= seed < 2**64.
      sampling: what faults are drawn from.
      horizon: steps to follow an experiment, the first faulty one included; >= 1.
      thresholds: of the outcome classes.
      stop: when there are enough experiments.
      band: folders of golden runs with other seeds, for the band of the outcome
        classes.
      propagation: record how far faults have spread after 1, 2, 4 and 8 steps.
      validation: compare the accuracy on the test examples at the end of the horizon,
        without which no outcome is "low test accuracy".
      injections: names and injections of files in place of `sampling`; experiment i
        has file i, and after the last one the first.
      detectors: names of detectors, or `file.py:NAME`, and settings of each, see
        `tpufi.detect`; they watch every step of the experiments and of the golden run.
      recovery: do each experiment again with recovery from the detectors' alarms.

    Raises:
      InputError: unknown workload, or a number is out of range.
    """

    workload: str
    golden: pathlib.Path
    seed: int
    sampling: SamplingPlan
    horizon: int
    thresholds: Thresholds
    stop: StopRule
    band: tuple[pathlib.Path, ...] = ()
    propagation: bool = False
    validation: bool = False
    injections: tuple[tuple[str, InjectionFile], ...] = ()
    detectors: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    recovery: bool = False

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.recovery and not self.detectors:
            raise InputError("recovery: needs alarms; name detectors too")
        if not 1 <= self.horizon < 1 << 31:
            raise InputError(f"horizon: {self.horizon}; expected 1 up to 2**31 - 1")
        for name, injection in self.injections:
            if injection.model != self.workload:
                raise InputError(
                    f"injections: {name}: of {injection.model}, the plan says "
                    f"{self.workload}; leave the file out or name that workload"
                )
        # Here and last: it imports TensorFlow, which the rest of a plan does without.
        from tpufi.models import any_workload

        any_workload(self.workload)
        self.watching()

    def watching(self) -> dict[str, Any]:
        """Return the detectors (`tpufi.detect.Detector`) by name.

        That of a file is `mine_NAME` of `mine.py:NAME`.

        Raises:
          InputError: one is unknown, or a setting of it, or two have one name.
        """
        if not self.detectors:
            return {}
        from tpufi.detect import any_detector

        found = {
            short_name(name): any_detector(name, **dict(given))
            for name, given in self.detectors
        }
        if len(found) < len(self.detectors):
            raise InputError("detectors: two have one name; rename a file or an object")
        return found

    def sampler(self, per_replica: int = 128) -> FaultSource:
        """Return the source: `draw(plan.seed, i)` is the fault of experiment i.

        Args:
          per_replica: images of one replica, as in the golden run.

        Raises:
          InputError: the plan does not fit the workload, or an injection file is wrong.
        """
        from tpufi.models import any_workload

        space = SiteSpace.of(any_workload(self.workload), per_replica)
        if self.injections:
            table = space.table
            faults = [_fault(*given, table) for given in self.injections]
            return GivenFaults(faults, table)
        return Sampler(space, self.sampling)

    def moments(self, steps_per_epoch: int) -> "Moments":
        """Return when and where the plan's faults are injected."""
        if not self.injections:
            return Moments.of_plan(self.sampling, steps_per_epoch)
        return Moments.of_files([i for _, i in self.injections], steps_per_epoch)

    def identity(self) -> dict[str, object]:
        models = (model for model, _ in self.sampling.models)
        files = {"own models": own} if (own := own_digests(models)) else {}
        file, name = named_parts(self.workload)
        named = f"{pathlib.Path(file).name}:{name}" if name else file
        if name:
            files |= {"own workload": files_digest([pathlib.Path(file)])}
        if self.injections:
            files |= {"injections": [injection_text(i) for _, i in self.injections]}
        sampling = None if self.injections else sampling_entries(self.sampling)
        return files | {
            "workload": named,
            "seed": self.seed,
            "horizon": self.horizon,
            "propagation": self.propagation,
            "validation": self.validation,
            "sampling": sampling,
            "thresholds": dataclasses.asdict(self.thresholds),
            **self._detectors(),
            **allocation_entries(self.stop),
        }

    def _detectors(self) -> dict[str, object]:
        """Return what determines the detectors; files by their content."""
        if not self.detectors:
            return {}
        named, own = [], {}
        for name, given in self.detectors:
            file, of = named_parts(name)
            if of:
                own[short_name(name)] = files_digest([pathlib.Path(file)])
            named.append((short_name(name), given))
        found: dict[str, object] = {"detectors": named}
        if own:
            found["own detectors"] = own
        return found | ({"recovery": True} if self.recovery else {})


def check_seed(seed: int) -> None:
    """Refuse a seed that is not 64 bits."""
    if not 0 <= seed < 1 << 64:
        raise InputError(f"seed: {seed}; expected 0 up to 2**64 - 1")


def sampling_entries(sampling: SamplingPlan) -> dict[str, object]:
    """Return what faults are drawn from as plain JSON values."""
    fields = dataclasses.fields(sampling)
    entries = {field.name: getattr(sampling, field.name) for field in fields}
    if sampling.when is None:  # As in journals that know no such entry.
        del entries["when"]
    else:
        entries["when"] = when_text(sampling.when)
    entries["models"] = [
        [unit_entries(m) if isinstance(m, UnitModel) else m.name, str(w)]
        for m, w in sampling.models
    ]
    # The files of error models; of all others the name says enough.
    models = [m for m, _ in sampling.models if isinstance(m, FaultModel)]
    texts = {m.name: error_model_text(m) for m in models}
    if any(texts.values()):
        entries["error_models"] = {n: text for n, text in texts.items() if text}
    return entries


def allocation_entries(stop: StopRule) -> dict[str, object]:
    """Return what of a stop rule determines which experiments are run."""
    return {"pilot": stop.pilot, "strata": stop.strata if stop.pilot else ()}


def _fault(name: str, injection: InjectionFile, table: SiteTable) -> Fault:
    try:
        return injection.fault(table)
    except InputError as error:
        raise InputError(f"injections: {name}: {error}") from None


class Moments(NamedTuple):
    """When and where the faults of a plan are injected.

    Args:
      replicas: that faults can be injected into.
      step: largest step within an epoch.
      first: first step, counted over epochs.
      last: last first step of a fault, counted over epochs.
      stale: names of fault models that need the step before.
      steps: how many steps can be the first one of a fault.
    """

    replicas: tuple[int, ...]
    step: int
    first: int
    last: int
    stale: tuple[str, ...]
    steps: int

    @classmethod
    def of_plan(cls, plan: SamplingPlan, steps_per_epoch: int) -> "Moments":
        """Return those of faults that are drawn."""
        return cls(
            plan.replicas,
            plan.steps[1],
            plan.epochs[0] * steps_per_epoch + plan.steps[0],
            plan.epochs[1] * steps_per_epoch + plan.steps[1],
            tuple(model.name for model, _ in plan.models if model.stale),
            (plan.epochs[1] - plan.epochs[0] + 1) * (plan.steps[1] - plan.steps[0] + 1),
        )

    @classmethod
    def of_files(
        cls, files: Sequence[InjectionFile], steps_per_epoch: int
    ) -> "Moments":
        """Return those of injection files."""
        at = [f.target_epoch * steps_per_epoch + f.target_step for f in files]
        return cls(
            tuple(sorted({f.target_worker for f in files})),
            max(f.target_step for f in files),
            min(at),
            max(at),
            tuple(f.fmodel for f in files if f.fmodel == "STALE"),
            len(set(at)),
        )


def strata(
    sampler: FaultSource, by: tuple[str, ...]
) -> dict[tuple[str, ...], Fraction]:
    """Return the strata of a plan with their exact probabilities.

    Args:
      sampler: of the plan.
      by: what makes a stratum, among `stop_rule.STRATUM_KEYS`; empty: one stratum.

    Returns:
      Values of `by` -> probability of an experiment to lie in the stratum, > 0.
    """
    found: dict[tuple[str, ...], Fraction] = {}
    for (model, site), probability in sampler.probabilities().items():
        stratum = stratum_of(model, sampler.site(site), by)
        if probability:
            found[stratum] = found.get(stratum, Fraction(0)) + probability
    return found


def stratum_of(model: str, site: Site, by: tuple[str, ...]) -> tuple[str, ...]:
    """Return the stratum of an experiment with a fault of a model at a site."""
    values = (model, site.layer, site.direction, site.operand, site.op)
    named = dict(zip(STRATUM_KEYS, values, strict=True))
    return tuple(named[key] for key in by)
