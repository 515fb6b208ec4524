# SPDX-License-Identifier: Apache-2.0
"""Three published injections into a ResNet-18 that trains on real images.

Trains a short golden run at the real batch (8 replicas of 128 images) on Fashion-MNIST,
replays each injection from it, and shows losses and outcomes as a table and a picture.
"""

import argparse
import pathlib
import sys
import time

import tpufi
from tpufi.cli import positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_device_options

INJECTIONS = ("inj_immediate_infs_nans", "inj_slow_degrade", "inj_masked")


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--out", default="runs/demo", help="folder for all results")
    parser.add_argument(
        "--data", default="fashion-mnist", help="data set; docs/data.md"
    )
    parser.add_argument("--step", type=positive, default=24, help="injected step")
    add_device_options(parser, "a TPU, else a GPU, else the CPU")
    parser.add_argument("--horizon", type=positive, default=10, help="steps to follow")


def _demo(options: argparse.Namespace) -> int:
    from tpufi.experiment.loss_plot import plot_losses
    from tpufi.experiment.table import table
    from tpufi.faults.csv import PUBLISHED
    from tpufi.training.devices import asked

    sys.stdout.reconfigure(line_buffering=True)  # In step with the progress.
    begun = time.monotonic()
    out = pathlib.Path(options.out)
    where = asked(options).placement()
    config = tpufi.GoldenConfig(
        "resnet18", options.data, device=where.device, compiled=where.compiled
    )
    print(f"golden run: resnet18, 8 x 128 images a step of {options.data}, on {where}")
    sites = tpufi.sites(config.workload, config.per_replica)
    injections = {
        name: tpufi.read_injection(
            PUBLISHED / config.workload / f"{name}.csv", lambda _: sites
        )
        for name in INJECTIONS
    }
    session = config.session(sites={i.site_name for i in injections.values()})
    end = options.step + options.horizon
    tpufi.train_golden(config, out / "golden", end, options.step, session)
    results = {}
    for name, injection in injections.items():
        print(
            f"{name}: {injection.fmodel} at {injection.site_name}, replica "
            f"{injection.target_worker}, step {options.step}"
        )
        results[name] = tpufi.replay(
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
    print("thresholds:", tpufi.read_thresholds())
    print("picture:", plot_losses(results, out / "losses.png"))
    print(f"traced {session.program.traces} training programs for all of them")
    print(f"took {time.monotonic() - begun:.0f} s")
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi demo --out runs/demo",),
    _add_options,
    _demo,
    deterministic=True,
)
