# SPDX-License-Identifier: Apache-2.0
"""Losses of typical experiments for TensorBoard, golden and faulty as two runs."""

import pathlib

import tensorflow as tf

from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report.facts import gather
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.sections.typical import typical


def write_curves(campaign: pathlib.Path, folder: pathlib.Path) -> int:
    """Write the curves; TensorBoard shows both runs of an experiment in one chart.

    Args:
      campaign: folder of the campaign.
      folder: for TensorBoard; gets the runs `golden` and `faulty`.

    Returns:
      How many experiments there are.

    Raises:
      InputError: the journal has no experiment that says something about its fault.
    """
    with Reader.open(campaign) as journal:
        chosen = typical(gather(str(campaign), journal, Options()))
    runs = {name: str(folder / name) for name in ("golden", "faulty")}
    writers = {name: tf.summary.create_file_writer(run) for name, run in runs.items()}
    for one in chosen:
        tag = f"{one.row.outcome}/{one.which}_experiment_{one.row.experiment}"
        for name, losses in (("golden", one.golden), ("faulty", one.losses)):
            with writers[name].as_default():
                for step, loss in enumerate(losses):
                    tf.summary.scalar(tag, loss, step)
    for writer in writers.values():
        writer.close()
    return len(chosen)
