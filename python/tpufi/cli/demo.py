# SPDX-License-Identifier: Apache-2.0
"""Three published injections into a ResNet-18 that trains on real images.

Trains a short golden run at the real batch (8 replicas of 128 images) on Fashion-MNIST,
replays each injection from it, and shows losses and outcomes as a table and a picture.
With --full the run is longer before and after the fault. With --protect the second one
is injected once again into a training that detectors watch and that recovers.
"""

import argparse
import pathlib
import sys
import time

import tpufi
from tpufi.cli import positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_device_options

# The first ends at once, so its result needs the fewest golden steps.
INJECTIONS = ("inj_immediate_infs_nans", "inj_slow_degrade", "inj_masked")
_FIRST = 2
_PROTECTED, _FOLLOWED = "inj_slow_degrade", 2  # And steps to follow it.
_SHORT, _FULL = (6, 6), (24, 10)  # Injected step, and steps to follow.


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--out", default="runs/demo", help="folder for all results")
    parser.add_argument(
        "--data", default="fashion-mnist", help="data set; docs/data.md"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="inject into step {} and follow {} steps, not {} and {}".format(
            *_FULL, *_SHORT
        ),
    )
    parser.add_argument("--step", type=positive, help="injected step")
    parser.add_argument(
        "--protect",
        action="store_true",
        help=f"inject {_PROTECTED} again, detect it and recover",
    )
    add_device_options(parser, "a TPU, else a GPU, else the CPU")
    parser.add_argument("--horizon", type=positive, help="steps to follow")


def _demo(options: argparse.Namespace) -> int:
    from tpufi.experiment.loss_plot import plot_losses
    from tpufi.experiment.table import table
    from tpufi.faults.csv import PUBLISHED
    from tpufi.training.devices import asked

    sys.stdout.reconfigure(line_buffering=True)  # In step with the progress.
    begun = time.monotonic()
    usual = _FULL if options.full else _SHORT
    step, horizon = options.step or usual[0], options.horizon or usual[1]
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
    results = {}
    for name, injection in injections.items():
        print(
            f"{name}: {injection.fmodel} at {injection.site_name}, replica "
            f"{injection.target_worker}, step {step}"
        )
        follow = min(_FIRST, horizon) if not results else horizon
        end = step + follow
        tpufi.train_golden(config, out / "golden", end, step, session)
        results[name] = tpufi.replay(
            injection,
            out / "golden",
            name=name,
            out=out,
            epoch=step // session.steps_per_epoch,
            step=step % session.steps_per_epoch,
            horizon=follow,
            session=session,
        )
        print(f"{name}: {results[name].outcome}, {time.monotonic() - begun:.0f} s")
    print(table(results))
    print("thresholds:", tpufi.read_thresholds())
    print("picture:", plot_losses(results, out / "losses.png"))
    if options.protect:
        _protect(injections[_PROTECTED], out / "golden", session, step, horizon)
        print(f"recovered: {time.monotonic() - begun:.0f} s")
    print(f"traced {session.program.traces} training programs for all of them")
    print(f"took {time.monotonic() - begun:.0f} s, {time.process_time():.0f} s of CPU")
    return 0


def _protect(
    injection: "tpufi.Injection",
    golden: pathlib.Path,
    session: object,
    step: int,
    horizon: int,
) -> None:
    """Inject a fault into a training under protection and say what became of it."""
    from tpufi.experiment.protected import replay_protected

    epoch, step = divmod(step, session.steps_per_epoch)
    horizon = min(horizon, _FOLLOWED)
    how = {
        "epoch": epoch,
        "step": step,
        "horizon": horizon,
        "warm": 0,
        "session": session,
    }
    found = replay_protected(injection, golden, **how)
    print(f"{_PROTECTED} under protection:")
    for line in found.lines():
        print(f"  {line}")


COMMAND = Command(
    __doc__,
    ("tpufi demo --out runs/demo", "tpufi demo --protect"),
    _add_options,
    _demo,
    deterministic=True,
)
