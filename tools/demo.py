#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three published injections strike a ResNet-18 that trains on real images.

Trains a short golden run at the real batch (8 replicas of 128 images) on Fashion-MNIST,
replays each injection from it, and shows losses and outcomes as a table and a picture.
"""

import os
import pathlib
import sys
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from tpufi.cli import Parser, positive, run
from tpufi.golden import GoldenConfig, train_golden
from tpufi.injection.csv_file import read_injection
from tpufi.models import workload
from tpufi.outcomes.outcome_thresholds import read_thresholds
from tpufi.replays.loss_plot import plot_losses
from tpufi.replays.replay import ReplayResult, replay
from tpufi.replays.table import table
from tpufi.training import make_deterministic

INJECTIONS = ("inj_immediate_infs_nans", "inj_slow_degrade", "inj_masked")
FILES = pathlib.Path(__file__).resolve().parents[1] / "injections" / "resnet18"


def main(argv: Sequence[str] | None) -> int:
    """Train, replay, and show."""
    parser = Parser(description=__doc__)
    parser.add_argument("--out", default="runs/demo", help="folder for all results")
    parser.add_argument(
        "--data", default="fashion-mnist", help="data set; docs/data.md"
    )
    parser.add_argument("--step", type=positive, default=24, help="injected step")
    parser.add_argument("--horizon", type=positive, default=10, help="steps to follow")
    options = parser.parse_args(argv)
    sys.stdout.reconfigure(line_buffering=True)  # In step with the progress.
    begun = time.monotonic()
    out = pathlib.Path(options.out)
    config = GoldenConfig("resnet18", options.data)
    print(f"golden run: resnet18, 8 x 128 images a step of {options.data}")
    session = train_golden(
        config, out / "golden", options.step + options.horizon, options.step
    )
    sites = workload(config.workload).sites(config.per_replica)
    results: dict[str, ReplayResult] = {}
    for name in INJECTIONS:
        injection = read_injection(FILES / f"{name}.csv", lambda _: sites)
        print(
            f"{name}: {injection.fmodel} at {injection.site_name}, replica "
            f"{injection.target_worker}, step {options.step}"
        )
        results[name] = replay(
            injection,
            out / "golden",
            name=name,
            out=out,
            epoch=options.step // session.steps_per_epoch,
            step=options.step % session.steps_per_epoch,
            horizon=options.horizon,
            session=session,
        )
    print(table(results))
    print("thresholds:", read_thresholds())
    print("picture:", plot_losses(results, out / "losses.png"))
    print(f"compiled {session.program.traces} training program for all of them")
    print(f"took {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
