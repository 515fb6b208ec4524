# SPDX-License-Identifier: Apache-2.0
"""The record of a replay: the ISCA'23 artefact's text lines, and JSON lines.

Both files are written step by step under a name ending in `.partial` and get their own
names when the replay is complete.
"""

import dataclasses
import json
import math
import os
import pathlib

import numpy as np

from tpufi.descriptor import CAPACITY, EVERY_REPLICA
from tpufi.element import from_words
from tpufi.experiment.inject import golden_bits
from tpufi.fault import Fault
from tpufi.faults.injection_file import InjectionFile
from tpufi.faulty_bits import faulty_bits
from tpufi.file_name import check_file_name
from tpufi.io import open_to_write
from tpufi.outcomes.outcome import Validation
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.site_table import Site
from tpufi.training.devices import Placement


@dataclasses.dataclass(frozen=True, eq=False)
class Hit:
    """The elements that a fault hit, in the order of its file.

    Args:
      operation: what was done to them.
      count: how many there are.
      positions: an index for each axis of the site: of all, or of the first ones.
      golden: uint64, their bits before; None: of every replica, whose records are
        added up.
      faulty: uint64, their bits after; None: copies and random patterns, which the
        record of a step does not hold, or every replica.
    """

    operation: str
    count: int
    positions: tuple[tuple[int, ...], ...]
    golden: np.ndarray | None
    faulty: np.ndarray | None


def hit_of(
    injection: InjectionFile, fault: Fault, site: Site, record: np.ndarray
) -> Hit:
    """Return what a fault hit.

    Args:
      injection: the file's injection, whose order the elements take.
      fault: its fault, with its words.
      site: its site.
      record: of the step that it was injected into.

    Raises:
      RuntimeError: the step had the fault in fewer elements than it names.
    """
    every, count = fault.replica == EVERY_REPLICA, fault.elements.count
    golden = None if every else golden_bits(fault, record)
    known = min(count, CAPACITY) if golden is None else len(golden)
    flat = injection.flat_positions(site.shape)[:known]
    indices = np.unravel_index(flat, site.shape)
    positions = tuple(zip(*(axis.tolist() for axis in indices), strict=True))
    if golden is None:
        return Hit(fault.operation, count, positions, None, None)
    # Of a long fault the first elements are known, which are in order.
    place = np.argsort(np.argsort(flat))
    faulty = faulty_bits(fault, golden)
    return Hit(
        fault.operation,
        count,
        positions,
        golden[place],
        None if faulty is None else faulty[place],
    )


class ReplayRecord:
    """Writes `replay_<model>_<name>.txt` and `.jsonl`.

    Args:
      folder: where; made if it does not exist.
      stem: file name without ending.
      epochs: epochs of the golden run, for the text.
      steps: steps of an epoch, for the text.

    Raises:
      InputError: the stem would lead out of the folder.
    """

    def __init__(self, folder: pathlib.Path, stem: str, epochs: int, steps: int):
        check_file_name(stem, "injection")
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = tuple(folder / f"{stem}.{ending}" for ending in ("txt", "jsonl"))
        self._files = [open_to_write(_partial(path)) for path in self.paths]
        self._epochs = epochs
        self._steps = steps

    def __enter__(self) -> "ReplayRecord":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        for file in self._files:
            file.close()
        if kind is None:
            for path in self.paths:
                os.replace(_partial(path), path)

    def start(
        self,
        injection: InjectionFile,
        epoch: int,
        step: int,
        source: str,
        placement: Placement,
    ) -> None:
        """Write the head: target, origin of the weights, and where it runs."""
        self._text(f"Inject to epoch: {epoch}")
        self._text(f"Inject to step: {step}")
        self._text(f"Load weights from {source}")
        self._json(
            kind="injection",
            model=injection.model,
            fmodel=injection.fmodel,
            layer=injection.target_layer,
            worker=injection.target_worker,
            epoch=epoch,
            step=step,
            device=placement.device,
            compiled=placement.compiled,
        )

    def fault(self, injection: InjectionFile, site: Site, hit: "Hit") -> dict:
        """Write what was hit; return it for the JSON line of the step."""
        self._text(f"Inject worker: {injection.target_worker}")
        self._text(f"Inject layer: {injection.target_layer}")
        self._text(f"Shape for target layer is {site.shape}")
        before = after = [f"unknown ({hit.operation})"] * len(hit.positions)
        if hit.golden is not None:
            before = list(from_words(hit.golden, site.dtype))
        if hit.faulty is not None:
            after = list(from_words(hit.faulty, site.dtype))
        for position, old, new in zip(hit.positions, before, after, strict=True):
            where = "/".join(map(str, position))
            self._text(
                f"Position is {where}, Golden data is {old}, inject data is {new}"
            )
        if hit.count > len(hit.positions):
            self._text(f"{hit.count} positions in all, the first are shown")
        told = {
            "site": site.name,
            "replica": injection.target_worker,
            "positions": [list(p) for p in hit.positions],
            "golden_bits": _hexadecimal(hit.golden, site.dtype),
            "faulty_bits": _hexadecimal(hit.faulty, site.dtype),
        }
        return told | {"count": hit.count} if hit.count > len(hit.positions) else told

    def step(self, epoch: int, step: int, entry: dict, fault: dict | None) -> None:
        """Write one step; `entry` has loss, accuracy, state and golden_loss."""
        self._text(
            f"Epoch: {epoch}/{self._epochs}, step: {step}/{self._steps}, "
            f"loss: {entry['loss']:.5f}, accuracy: {entry['accuracy']:.5f}"
        )
        extra = {} if fault is None else {"injection": fault}
        self._json(kind="step", epoch=epoch, step=step, **entry, **extra)

    def epoch(self, epoch: int, entry: dict) -> None:
        """Write the end of an epoch."""
        self._text(
            f"End of epoch: {epoch}/{self._epochs}, "
            f"train loss: {entry['train_loss']:.5f}, "
            f"train accuracy: {entry['train_accuracy']:.5f}, "
            f"valid loss: {entry['valid_loss']:.5f}, "
            f"valid accuracy: {entry['valid_accuracy']:.5f}"
        )
        self._json(kind="epoch", **entry)

    def end(
        self,
        outcome: str,
        not_finite: bool,
        limits: Thresholds,
        golden_runs: int,
        validation: Validation | None,
    ) -> None:
        """Write the outcome and what it was judged by.

        A non-finite loss has the artefact's line as well.
        """
        if not_finite:
            self._text("Encounter NaN! Terminate training!")
        self._json(
            kind="outcome",
            outcome=outcome,
            thresholds=dataclasses.asdict(limits),
            golden_runs=golden_runs,
            validation=None if validation is None else dataclasses.asdict(validation),
        )

    def _text(self, line: str) -> None:
        print(line, file=self._files[0], flush=True)

    def _json(self, **entry: object) -> None:
        entry = {key: _strict(value) for key, value in entry.items()}
        print(json.dumps(entry, allow_nan=False), file=self._files[1], flush=True)


def _hexadecimal(words: np.ndarray | None, dtype: str) -> list[str] | None:
    if words is None:
        return None
    digits = 2 + np.dtype(dtype).itemsize * 2
    return [f"{int(word):#0{digits}x}" for word in words]


def _partial(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".partial")


def _strict(value: object) -> object:
    """JSON has no NaN and no infinity; they are written as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
