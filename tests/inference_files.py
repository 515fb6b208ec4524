# SPDX-License-Identifier: Apache-2.0
"""A small inference campaign on files, and a pool that runs it in this process."""

import pathlib
import sys

import numpy as np

from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.engine.worker import RunnerHost, Worker
from tpufi.campaign.inference.inference_file import read_inference_plan
from tpufi.campaign.inference.run import run_inference
from tpufi.campaign.inference.runner import InferenceRunner, runner
from tpufi.campaign.inference.session import session_text
from tpufi.campaign.inference.subject import Subject
from tpufi.campaign.inference.survey import Survey, surveyed
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.reader import Reader

MODEL = """
import tensorflow as tf

def make():
    tf.keras.utils.set_random_seed(8)
    layers = tf.keras.layers
    return tf.keras.Sequential([
        tf.keras.Input((6, 6, 1)),
        layers.Conv2D(3, 3, activation="relu", name="conv"),
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(7, name="dense"),
    ], name="net")

OWN = {
    "first: the first score changed": lambda g, f: bool(g[0] != f[0]),
    "sum: of the scores": lambda g, f: float(f.sum()),
}
"""
PLAN = {
    "program": "model.py:make",
    "inputs": "images.npz",
    "seed": "3",
    "experiments": "150",
    "batch": "4",
    "rounds": "8",
}


def write_files(folder: pathlib.Path, **changes: str) -> pathlib.Path:
    """Write program, inputs and plan; return the path of the plan."""
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(14, 6, 6, 1)).astype(np.float32)
    np.savez(folder / "images.npz", x=x, labels=rng.integers(0, 7, 14))
    return write_plan(folder, **changes)


def write_plan(folder: pathlib.Path, **changes: str) -> pathlib.Path:
    """Write the plan beside its files; return its path."""
    entries = {**PLAN, **changes}
    lines = [f"{key}: {value}" for key, value in entries.items()]
    path = folder / "plan.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


class HereWorker(Worker):
    """Runs blocks in this process; counts them.

    Args:
      own: the runner.
    """

    def __init__(self, own: InferenceRunner):
        self._host = RunnerHost()
        self._host.make(lambda alive: own)
        self.blocks = 0

    def ready(self) -> None:
        return None

    def run(self, block):
        self.blocks += 1
        for number in block.numbers:
            yield self._host.run(number, block.attempt)

    def kill(self) -> None:
        pass


class HerePool(Pool):
    """One worker in this process."""

    def __init__(self, worker: HereWorker):
        self._worker = worker
        super().__init__(1)

    def _start(self) -> Worker:
        return self._worker


def survey_here(path: pathlib.Path) -> Survey:
    """Return the survey of a plan, made in this process."""
    plan = read_inference_plan(path)
    return surveyed(plan, Subject(plan))


def run_here(path: pathlib.Path, out: pathlib.Path, blocks: int = 1 << 30):
    """Run a campaign in this process; stop after some blocks."""
    found = survey_here(path)
    worker = HereWorker(runner(found.plan, found.golden))

    def make_pool() -> HerePool:
        return HerePool(worker)

    def stopping() -> bool:
        return worker.blocks >= blocks

    session = session_text(sys.argv, "0", found)
    return run_inference(found, out, session, make_pool, Watcher(), stopping)


def kept_rows(folder: pathlib.Path) -> list[tuple]:
    """Return all columns of all rows but the incidental ones, and all answers."""
    names = [n for n in schema.COLUMNS if n not in schema.INCIDENTAL]
    with Reader.open(folder) as journal:
        rows = journal.query(f"SELECT {', '.join(names)} FROM experiment ORDER BY 1")
        found = list(rows)
        answers = "SELECT experiment, measure, value FROM answer ORDER BY 1, 2"
        return [*found, *journal.query(answers)]
