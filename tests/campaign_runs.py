# SPDX-License-Identifier: Apache-2.0
"""Small campaigns for the tests of the engine: real ones, and ones of fake rows."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable

from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tests.tiny_workload import TINY
from tpufi.campaign.engine.local_pool import LocalPool
from tpufi.campaign.engine.run import Ended, Scale, run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.faults.catalogue import FAULT_MODELS, NAMES, FaultModel, any_fault_model
from tpufi.faults.plan import SamplingPlan, equally
from tpufi.golden import GoldenConfig, train_golden
from tpufi.models import WORKLOADS
from tpufi.outcomes.outcome_thresholds import read_thresholds

SMALL = dataclasses.replace(TINY, name="small", input_shape=(32, 32, 3))
CONFIG = GoldenConfig("small", "synthetic:64", replicas=2, per_replica=4)
STEPS = 12  # Golden; 8 are an epoch.
SMALL_PLAN = """\
workload: small
golden: golden
seed: 3
experiments: 4
epochs: 0
steps: 1-4
replicas: 0-1
horizon: 3
"""  # Of the small network; more keys follow.


def known_workload() -> None:
    """Let this process know the workload of these campaigns."""
    WORKLOADS.setdefault(SMALL.name, SMALL)


def small_plan(golden: pathlib.Path, experiments: int = 40, **changes) -> CampaignPlan:
    """Return a plan of all fault models on the small network."""
    known_workload()
    sampling = SamplingPlan(
        equally([any_fault_model(name) for name in NAMES]),
        site_weights="sites",
        epochs=(0, 0),
        steps=(1, 7),
        durations=(1, 2),
        replicas=(0, 1),
    )
    fields = {
        "workload": SMALL.name,
        "golden": golden,
        "seed": 11,
        "sampling": sampling,
        "horizon": 3,
        "thresholds": read_thresholds(),
        "stop": StopRule(experiments),
        "propagation": True,
    }
    return CampaignPlan(**{**fields, **changes})


def compiled_plan(
    golden: pathlib.Path,
    experiments: int,
    models: tuple[FaultModel, ...] = tuple(FAULT_MODELS.values()),
    patterns: tuple[str, ...] = ("conv1/*", "fc/forward/*"),
) -> CampaignPlan:
    """Return a plan of few sites, since XLA takes its time for each.

    The first 60 of its experiments have all 18 published fault models.
    """
    sampling = SamplingPlan(
        equally(models),
        site_weights="sites",
        patterns=patterns,
        epochs=(0, 0),
        steps=(1, 4),
        durations=(1, 2),
        replicas=(0,),
    )
    return small_plan(golden, experiments, sampling=sampling, seed=3)


def train_small(folder: pathlib.Path, steps: int = STEPS, **changes) -> pathlib.Path:
    """Train the golden run of the small network."""
    known_workload()
    train_golden(dataclasses.replace(CONFIG, **changes), folder, steps, 5)
    return folder


@dataclasses.dataclass(frozen=True)
class SmallRunnerOf:
    """The real runner, in a process that has to learn of the workload first."""

    plan: CampaignPlan
    verify: bool = True

    def __call__(self, alive: Callable[[], None]) -> Experimenter:
        known_workload()
        return WorkloadSubject(self.plan, self.verify).open(alive)


class SmallSubject(WorkloadSubject):
    """The small network as a subject, its golden run trained or not."""

    @property
    def config(self):
        return CONFIG


@dataclasses.dataclass(frozen=True)
class FakeRunner:
    """Cheap rows; some experiments end their worker, hang, or raise an error.

    Args:
      crashes: numbers that crash at every attempt.
      stumbles: numbers that crash at the first attempt.
      hangs: numbers that hang at every attempt.
      fails: numbers that raise at every attempt.
      seconds: of an experiment.
    """

    crashes: tuple[int, ...] = ()
    stumbles: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()
    fails: tuple[int, ...] = ()
    seconds: float = 0.0

    def __call__(self, alive: Callable[[], None]) -> "FakeRunner":
        return self

    def run(self, number: int, attempt: int) -> Row:
        """Return the fake row."""
        time.sleep(self.seconds)
        if number in self.crashes or number in self.stumbles and attempt == 1:
            os._exit(7)
        if number in self.hangs:
            time.sleep(3600)
        if number in self.fails:
            raise ValueError(f"no luck with {number}")
        return fake_row(number, attempt=attempt)


def run_small(
    plan: CampaignPlan,
    folder: pathlib.Path,
    make,
    workers: int = 1,
    timeout: float = 300,
    start_timeout: float = 300,
    method: str = "spawn",
    **options,
) -> Ended:
    """Run a campaign with worker processes."""
    return run_campaign(
        SmallSubject(plan),
        folder,
        options.pop("manifest", MANIFEST),
        options.pop("session", SESSION),
        lambda: LocalPool(make, workers, timeout, start_timeout, method),
        Watcher(),
        options.pop("scale", Scale(16, 3)),
        **options,
    )


def kept_rows(folder: pathlib.Path) -> list[tuple]:
    """Return all columns of all rows but the incidental ones, with their spread."""
    names = [n for n in schema.COLUMNS if n not in schema.INCIDENTAL]
    with Reader.open(folder) as journal:
        rows = journal.query(f"SELECT {', '.join(names)} FROM experiment ORDER BY 1")
        return [(*row, journal.spread(row[0])) for row in list(rows)]


def count_of(folder: pathlib.Path) -> int:
    """Return how many rows a journal has; 0: it is not begun yet."""
    try:
        with Reader.open(folder) as journal:
            return journal.count()
    except Exception:  # noqa: BLE001 - not begun yet.
        return 0
