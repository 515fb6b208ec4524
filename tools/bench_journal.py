#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a journal of millions of synthetic rows: writing, tallies, export, report.

The rows are made up; nothing is trained.
"""

import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from tpufi.campaign.journal.export import export
from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import FaultColumns, Row
from tpufi.campaign.journal.writer import Writer
from tpufi.cli import Parser, positive, run

_OUTCOMES = (
    "masked (bit-identical to golden)",
    "masked",
    "slow degrade",
    "sharp degrade",
)
_BATCH = 1000


def main(argv: Sequence[str] | None) -> int:
    """Measure and print."""
    parser = Parser(description=__doc__)
    parser.add_argument("--rows", type=positive, default=2_900_000)
    parser.add_argument("--json", action="store_true", help="one object as last line")
    options = parser.parse_args(argv)
    figures: dict[str, float] = {"rows": options.rows}

    def timed(name: str, work: Callable[[], object]) -> None:
        begin = time.perf_counter()
        work()
        figures[name] = round(time.perf_counter() - begin, 2)
        print(f"{name}: {figures[name]} s", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        timed("write_s", lambda: _write(folder, options.rows))
        size = sum(file.stat().st_size for file in folder.iterdir())
        figures["journal_mib"] = round(size / 2**20)
        timed("open_to_read_s", lambda: Reader.open(folder).close())
        with Reader.open(folder) as journal:
            timed("count_s", journal.count)
            timed("tally_all_s", lambda: journal.tally(()))
            timed("tally_model_s", lambda: journal.tally(("model",)))
            strata = ("model", "layer", "direction", "operand")
            timed("tally_strata_s", lambda: journal.tally(strata))
            timed("tally_clusters_s", lambda: journal.tally(("epoch", "step")))
            timed("tally_bit_s", lambda: journal.tally(("bit",)))
            timed("missing_s", lambda: list(journal.missing(options.rows + 5)))
            parquet = folder / "journal.parquet"
            timed("parquet_s", lambda: export(journal, parquet))
        figures["parquet_mib"] = round(parquet.stat().st_size / 2**20)
        timed("report_s", lambda: _report(folder))
        report = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures["report_cpu_s"] = round(report.ru_utime + report.ru_stime, 2)
        # At least this process's own peak, which a child inherits.
        figures["report_peak_mib"] = round(report.ru_maxrss / 2**10)
        page = folder / "report" / "report.html"
        figures["report_mib"] = round(page.stat().st_size / 2**20, 1)
        timed("reopen_for_writing_s", lambda: _write(folder, 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["peak_mib"] = round(peak / 2**10)
    print(", ".join(f"{key} {value}" for key, value in figures.items()))
    if options.json:
        print(json.dumps(figures))
    return 0


def _report(folder: pathlib.Path) -> None:
    """Write the report in a separate process, as a user does."""
    tool = pathlib.Path(__file__).with_name("campaign.py")
    subprocess.run([sys.executable, tool, "report", folder], check=True)


def _write(folder: pathlib.Path, count: int) -> None:
    manifest = Manifest("{}", "0", "0", "0", "0", "0")
    with Writer(folder, manifest, "{}") as journal:
        batch = []
        for row in _rows(count):
            batch.append(row)
            if len(batch) == _BATCH or row.experiment == count - 1:
                journal.add(batch)
                batch = []


def _rows(count: int) -> Iterator[Row]:
    rng = random.Random(7)
    models = [f"MODEL_{i}" for i in range(18)]
    layers = [f"basicblock_{i}_basic_0_conv1" for i in range(40)]
    for number in range(count):
        fault = FaultColumns(
            model=rng.choice(models),
            layer=rng.choice(layers),
            direction=rng.choice(("forward", "grad_in", "grad_wt")),
            operand=rng.choice(("input", "weight", "output")),
            epoch=rng.randrange(80),
            step=rng.randrange(49),
            duration=1,
            replica=rng.randrange(8),
            start=rng.randrange(1 << 23),
            count=16,
            operation="flip",
            bit=rng.randrange(32),
            fault_digest=f"{rng.getrandbits(64):016x}",
        )
        yield Row(
            experiment=number,
            fault=fault,
            outcome=rng.choice(_OUTCOMES),
            steps_run=2,
            diverged_step=0,
            state_digest=f"{rng.getrandbits(128):032x}",
            losses=((2.3, 0.1), (rng.random(), 0.2)),
            wall_s=0.5,
        )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    run(main)
