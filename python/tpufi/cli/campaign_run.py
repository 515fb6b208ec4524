# SPDX-License-Identifier: Apache-2.0
"""Runs the remaining experiments of a campaign; stop or kill it, then resume it."""

import argparse
import pathlib
import sys
from collections.abc import Callable

from absl import logging

import tpufi
from tpufi.cli import above_0, positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_device_options
from tpufi.errors import InputError


def _add_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add("file", type=pathlib.Path, help="campaign file")
    add("--out", type=pathlib.Path, required=True, help="folder of the campaign")
    add("--workers", type=positive, default=1, help="processes, default 1")
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where workers run: on this machine, or on those of a Ray cluster",
    )
    add("--ray-address", metavar="ADDRESS", help="of the cluster; default: Ray's own")
    add(
        "--resources",
        nargs="*",
        type=_resource,
        default=[("CPU", 1.0)],
        metavar="NAME=N",
        help="what a Ray worker takes of its machine, e.g. TPU=4; default CPU=1",
    )
    add(
        "--window",
        type=positive,
        default=1000,
        help="experiments between stop-rule checks, default 1000",
    )
    add(
        "--block",
        type=positive,
        default=8,
        help="experiments that a worker takes at once, default 8",
    )
    add(
        "--timeout",
        type=above_0,
        default=600,
        help="worker heartbeat timeout in seconds (Ray: of an experiment), default 600",
    )
    add(
        "--start-timeout",
        type=above_0,
        default=3600,
        help="the same while a worker starts and compiles the program, default 3600",
    )
    add(
        "--allow-nondeterminism",
        action="store_true",
        help="go on if the golden run cannot be repeated; noted in the manifest",
    )
    add(
        "--allow-inactive", action="store_true", help="go on if a fault is not injected"
    )
    add_device_options(parser, "where the golden run was trained")
    add(
        "--tensorboard",
        type=pathlib.Path,
        metavar="FOLDER",
        help="write scalars for each block, and golden and faulty losses at the end",
    )


def check_file(options: argparse.Namespace) -> None:
    """Raise InputError unless the campaign file can be read."""
    from tpufi.campaign.plan_file import read_plans

    read_plans(options.file)


def _run(options: argparse.Namespace) -> int:
    from tpufi.campaign.engine.interrupt import interruptible
    from tpufi.campaign.members import note_members
    from tpufi.campaign.subjects import subjects_of

    subjects = subjects_of(options.file, not options.allow_nondeterminism)
    for subject in subjects.values():
        _check_device(options, subject)
    if "" not in subjects:
        note_members(options.out, subjects)
    with interruptible() as stopping:
        for name, subject in subjects.items():
            if code := _run_one(options, subject, name, stopping):
                return code
    return 0


def _run_one(
    options: argparse.Namespace,
    subject: "tpufi.campaign.subject.Subject",
    name: str,
    stopping: Callable[[], bool],
) -> int:
    """Run the campaign of one workload or program, and return its exit code."""
    from tpufi.campaign.engine.local_pool import LocalPool
    from tpufi.campaign.engine.pool import Pool
    from tpufi.campaign.engine.ray_pool import RayPool
    from tpufi.campaign.engine.run import Scale, run_campaign
    from tpufi.campaign.engine.watcher import Watcher

    out, make = options.out / name, subject.open

    def pool() -> Pool:
        limits = options.timeout, options.start_timeout
        if options.engine == "local":
            return LocalPool(make, options.workers, *limits)
        resources = dict(options.resources)
        return RayPool(make, options.workers, *limits, resources, options.ray_address)

    board = options.tensorboard and options.tensorboard / name
    ended = run_campaign(
        subject,
        out,
        subject.manifest(),
        subject.session(sys.argv, tpufi.__version__),
        pool,
        Watcher(board),
        Scale(options.window, options.block),
        stopping,
        options.allow_inactive,
    )
    if board is not None:
        _write_curves(out, board)
    if ended.not_active:
        print(
            f"{out}: experiment {ended.not_active[0]} and "
            f"{len(ended.not_active) - 1} more were not injected; see their errors in "
            "the journal; --allow-inactive goes on all the same",
            file=sys.stderr,
        )
        return 1
    if ended.reason is None:
        raise KeyboardInterrupt
    print(f"{out}: {ended.reason}")
    return 0


def _check_device(options: argparse.Namespace, subject: object) -> None:
    from tpufi.campaign.workload.subject import WorkloadSubject
    from tpufi.training.devices import asked

    if not isinstance(subject, WorkloadSubject):
        if options.device != "auto" or options.compile is not None:
            raise InputError(
                "a program of yours says itself where it runs and what is compiled; "
                "leave out --device and --compile"
            )
        return
    config = subject.config
    asked(options).check_same(config.placement, subject.plan.golden)
    if config.device == "tpu" and options.engine == "local" and options.workers > 1:
        raise InputError(
            f"{options.workers} workers on one TPU, which belongs to one process; give "
            "--workers 1, or --engine ray with a TPU for each"
        )


def _write_curves(campaign: pathlib.Path, folder: pathlib.Path) -> None:
    """Write golden and faulty losses, if there are any to write and to read them by."""
    try:
        from tpufi.campaign.report.curve_scalars import write_curves

        write_curves(campaign, folder)
    except (ImportError, InputError) as error:
        logging.warning("no curves for TensorBoard: %s", error)


def _resource(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    if not name or not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=N, e.g. TPU=4")
    return name, above_0(number)


COMMAND = Command(
    __doc__,
    ("tpufi campaign run campaign.yaml --out runs/campaign --workers 2",),
    _add_options,
    _run,
    check_file,
    deterministic=True,
)
