# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: every parser of a file, with good files to begin from."""

import dataclasses
import gzip
import io
import pathlib
import pickle
import tempfile
from collections.abc import Callable

import numpy as np

from tests.campaign_files import PLAN
from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tests.error_model_csv_test import ROWS as RESULTS
from tests.error_model_test import FILE as MEASURED
from tests.fault_jsonl_test import LINE
from tests.injection_errors_test import replaced, sites_of
from tests.tiny_workload import TINY
from tpufi.campaign.journal import database
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.program_inputs import read_inputs
from tpufi.contrib.isca23.checkpoint.mapping import read_mapping
from tpufi.contrib.tensorfi.any_plan import plan_of
from tpufi.contrib.tensorfi.config import read_config
from tpufi.data.cifar import read_cifar_folder
from tpufi.data.idx_files import read_idx_folder
from tpufi.data.npz_file import read_npz
from tpufi.errors import InputError
from tpufi.experiment.spread import Spread
from tpufi.faults.csv import read_injection
from tpufi.faults.error_model_csv import import_csv
from tpufi.faults.error_model_file import TABLES, read_error_model
from tpufi.faults.jsonl import parse_fault
from tpufi.golden import GoldenConfig, GoldenFolder
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds
from tpufi.training import initial_state
from tpufi.training.state import to_arrays

_PARTS = ("train", "test")
ROOT = pathlib.Path(__file__).resolve().parents[1]
TENSORFI = b"""
ScalarFaultType: bitFlip-element
TensorFaultType: bitFlip-element
Ops:
- ADD = 1.0
- MATMUL = 0.5
Seed: 1000
SkipCount: 1
InjectMode: errorRate
"""
MAPPING = b"checkpoint,weight\na/(\\d)/b,conv\\1/kernel\nc/d,fc/kernel\n"
BATCHES = (*(f"data_batch_{number}" for number in range(2, 6)), "test_batch")
INFERENCE = b"""program: model.py:make
inputs: x.npz
seed: 3
experiments: 150
batch: 4
measures: regression
tolerance: 0.5
mitigation: [ranges]
stop: {width: 0.1, strata: [operand], hours: 2}
"""
LAYER = b"Target: layer_outputs\nMode: single\nType: bitflips\nAmount: 1\nBit: N\n"


@dataclasses.dataclass(frozen=True)
class Target:
    """One parser.

    Args:
      name: its name.
      file: name of the file in its folder.
      good: contents that parse.
      parse: reads the file in a folder.
      beside: other files in the folder.
    """

    name: str
    file: str
    good: tuple[bytes, ...] = dataclasses.field(repr=False)
    parse: Callable[[pathlib.Path], object]
    beside: tuple[tuple[str, bytes], ...] = dataclasses.field(default=(), repr=False)

    def outcome(self, content: bytes) -> object:
        """Return what the parser makes of a content; None if it is refused.

        Raises:
          AssertionError: the refusal is no single line, or a file has changed.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            (folder / self.file).write_bytes(content)
            for name, other in self.beside:
                (folder / name).write_bytes(other)
            before = _files(folder)
            try:
                return self.parse(folder)
            except InputError as error:
                message = str(error)
                assert len(message.splitlines()) == 1, message
                assert message.isprintable() and len(message) < 2000, message
                return None
            finally:
                assert _files(folder) == before


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _journal(folder: pathlib.Path) -> object:
    with Reader.open(folder) as journal:
        rows = list(journal.rows())
        spread = [journal.spread(row.experiment) for row in rows]
        tally = journal.tally(("model", "layer"))
        return repr((journal.manifest(), journal.sessions(), rows, spread, tally))


def journal_bytes() -> bytes:
    """Return the file of a small journal, its log written back into it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        spread = Spread(1, "weights", 2, 30, 0, 0.125, "conv/kernel")
        with Writer(folder, MANIFEST, SESSION) as journal:
            journal.add(fake_row(n, wall_s=0.5, spread=(spread,)) for n in range(40))
        return (folder / database.NAME).read_bytes()


def images() -> bytes:
    """Return an archive of images."""
    file = io.BytesIO()
    arrays = {f"x_{part}": np.ones((2, 32, 32, 3), np.uint8) for part in _PARTS}
    arrays |= {f"y_{part}": np.array([3, 9]) for part in _PARTS}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def golden_files() -> dict[str, bytes]:
    """Return the text files of a golden run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = GoldenFolder(pathlib.Path(scratch))
        folder.write_manifest(GoldenConfig("resnet18", "synthetic"), {"cores": "2"}, 5)
        for number in range(6):
            entry = {"number": number, "loss": 2.5 / (number + 1), "state": "a" * 64}
            folder.append("steps.jsonl", entry)
            folder.append("epochs.jsonl", {"epoch": number, "train_loss": 1.5})
        return _files(folder.path)


def _golden(name: str) -> Target:
    files = golden_files()

    def parse(folder: pathlib.Path) -> object:
        run = GoldenFolder(folder)
        lines = [run.read_lines(f"{what}.jsonl") for what in ("steps", "epochs")]
        return repr((run.read_manifest(), *lines))

    beside = tuple((n, content) for n, content in files.items() if n != name)
    return Target(name, name, (files[name],), parse, beside)


def _saved(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _idx_files() -> dict[str, bytes]:
    """Return the four files of a small data set of grey images."""
    files = {}
    for part in ("train", "t10k"):
        for kind, shape in (("images-idx3", (2, 28, 28)), ("labels-idx1", (2,))):
            head = bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes()
            files[f"{part}-{kind}-ubyte"] = head + bytes(np.prod(shape))
    return files


def _batch() -> bytes:
    return pickle.dumps(
        {b"data": np.ones((2, 3072), np.uint8), b"labels": [3, 9]}, protocol=2
    )


def _checkpoint() -> bytes:
    state = initial_state(TINY, 3)
    return _saved(**to_arrays(state._replace(updates=state.updates + 1)))


def targets() -> dict[str, Target]:
    """Return all targets by name."""
    idx, batch = _idx_files(), _batch()
    published = sorted((ROOT / "injections").glob("*/*.csv"))
    plain = (
        Target(
            "injection", "x.csv", (replaced(),),
            lambda folder: read_injection(folder / "x.csv", sites_of),
        ),
        Target(
            "published", "x.csv", tuple(file.read_bytes() for file in published),
            lambda folder: read_injection(folder / "x.csv"),
        ),
        Target(
            "campaign", "x.yaml", (PLAN.encode(),),
            lambda folder: read_plan(folder / "x.yaml"),
        ),
        Target(
            "tensorfi", "x.yaml", (TENSORFI, LAYER),
            lambda folder: plan_of(read_config(folder / "x.yaml")),
        ),
        Target(
            "fault_line", "x", (LINE.encode(),),
            lambda folder: parse_fault((folder / "x").read_text(errors="replace")),
        ),
        Target(
            "thresholds", "x.toml", (pathlib.Path(DEFAULT_FILE).read_bytes(),),
            lambda folder: read_thresholds(folder / "x.toml"),
        ),
        Target(
            "error_model", "x.toml",
            (MEASURED.encode(), *(file.read_bytes() for file in TABLES.values())),
            lambda folder: read_error_model(folder / "x.toml"),
        ),
        Target(
            "results", "x.csv", (RESULTS.encode(),),
            lambda folder: import_csv(folder / "x.csv", "float32", "any", "x.toml"),
        ),
        Target(
            "mapping", "x.csv", (MAPPING,),
            lambda folder: read_mapping(folder / "x.csv"),
        ),
        Target(
            "images", "x.npz", (images(),),
            lambda folder: read_npz(folder / "x.npz", "x"),
        ),
        Target(
            "inference", "x.yaml", (INFERENCE,),
            lambda folder: read_plan(folder / "x.yaml"),
        ),
        Target(
            "inputs", "x.npz",
            (_saved(x=np.ones((4, 3), np.float32), labels=np.arange(4)),),
            lambda folder: read_inputs(folder / "x.npz"),
        ),
        Target(
            "idx", "train-images-idx3-ubyte", (idx["train-images-idx3-ubyte"],),
            lambda folder: read_idx_folder(folder, "x"), tuple(idx.items())[1:],
        ),
        Target(
            "idx_gzip", "train-images-idx3-ubyte.gz",
            (gzip.compress(idx["train-images-idx3-ubyte"], mtime=0),),
            lambda folder: read_idx_folder(folder, "x"), tuple(idx.items())[1:],
        ),
        Target(
            "cifar", "data_batch_1", (batch,),
            lambda folder: read_cifar_folder(folder, "x"),
            tuple((name, batch) for name in BATCHES),
        ),
        Target(
            "checkpoint", "state_00000001.npz", (_checkpoint(),),
            lambda folder: GoldenFolder(folder).load(TINY, 1),
        ),
        Target("journal", database.NAME, (journal_bytes(),), _journal),
        *map(_golden, golden_files()),
    )  # fmt: skip
    return {target.name: target for target in plain}
