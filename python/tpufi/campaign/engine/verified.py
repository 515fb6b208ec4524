# SPDX-License-Identifier: Apache-2.0
"""Random rows of campaigns, done again and compared bit for bit."""

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from tpufi.campaign.effect import is_judged
from tpufi.campaign.engine.replayed import Replayed, replay_experiments
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.subjects import subject_of
from tpufi.errors import InputError
from tpufi.messages import show_path
from tpufi.training.devices import USUAL, Asked


def drawn_rows(
    folders: Sequence[pathlib.Path], count: int, seed: int
) -> dict[pathlib.Path, list[int]]:
    """Return experiments drawn from all rows of campaigns, each at most once.

    Rows of workers that crashed or hung are left out: they do not tell of a fault.

    Args:
      folders: of the campaigns.
      count: how many; fewer if there are fewer rows.
      seed: of the draw.

    Returns:
      By folder the numbers, in the order of their steps.

    Raises:
      InputError: a journal cannot be read, or there is no row.
    """
    rows: list[tuple[pathlib.Path, int]] = []
    statement = "SELECT experiment, outcome FROM experiment ORDER BY epoch, step, 1"
    for folder in folders:
        with Reader.open(folder) as journal, journal.untrusted():
            found = list(journal.query(statement))
        rows += [(folder, number) for number, outcome in found if is_judged(outcome)]
    if not rows:
        raise InputError(
            f"{show_path(folders[0])}: no experiments yet; run the campaign first"
        )
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    drawn: dict[pathlib.Path, list[int]] = {}
    for place in sorted(chosen.tolist()):
        folder, number = rows[place]
        drawn.setdefault(folder, []).append(number)
    return drawn


def verified(
    drawn: dict[pathlib.Path, list[int]],
    plan: pathlib.Path | None = None,
    golden: pathlib.Path | None = None,
    asked: Asked = USUAL,
) -> Iterator[tuple[pathlib.Path, Replayed]]:
    """Do experiments again; yield the folder and how each compares with its row.

    Args:
      drawn: numbers by folder, see `drawn_rows`.
      plan: campaign file, if it names Python files; they are run.
      golden: folder of the golden run, if it is not any more where it was.
      asked: device and compilation, which have to be the golden run's.

    Raises:
      InputError: a campaign cannot be repeated here.
    """
    for folder, numbers in drawn.items():
        subject = None if plan is None else subject_of(plan, folder.resolve().name)
        for again in replay_experiments(folder, numbers, golden, asked, subject):
            yield folder, again
