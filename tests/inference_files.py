# SPDX-License-Identifier: Apache-2.0
"""A small inference campaign on files, and a pool that runs it in this process."""

import pathlib
import sys

import numpy as np

from tpufi.campaign.engine.here_pool import HerePool, HereWorker
from tpufi.campaign.engine.run import run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.inference.loaded import LoadedInference
from tpufi.campaign.inference.subject import InferenceSubject
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan_file import read_plan

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


def loaded_here(path: pathlib.Path) -> LoadedInference:
    """Return program and inputs of a plan, loaded in this process."""
    return LoadedInference(read_plan(path))


def subject_here(path: pathlib.Path) -> InferenceSubject:
    """Return the subject of a plan, looked at in this process."""
    return InferenceSubject.of_loaded(read_plan(path), loaded_here(path))


def run_here(path: pathlib.Path, out: pathlib.Path, blocks: int = 1 << 30):
    """Run a campaign in this process; stop after some blocks."""
    subject = subject_here(path)
    worker = HereWorker(subject.opened)
    ended = run_campaign(
        subject,
        out,
        subject.manifest(),
        subject.session(sys.argv, "0"),
        lambda: HerePool(worker),
        Watcher(),
        stopping=lambda: worker.blocks >= blocks,
    )
    return ended.reason


def kept_rows(folder: pathlib.Path) -> list[tuple]:
    """Return all columns of all rows but the incidental ones, and all answers."""
    names = [n for n in schema.COLUMNS if n not in schema.INCIDENTAL]
    with Reader.open(folder) as journal:
        rows = journal.query(f"SELECT {', '.join(names)} FROM experiment ORDER BY 1")
        found = list(rows)
        answers = "SELECT experiment, measure, value FROM answer ORDER BY 1, 2"
        return [*found, *journal.query(answers)]
