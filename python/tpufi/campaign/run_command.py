# SPDX-License-Identifier: Apache-2.0
"""The subcommand `run` of tpufi campaign: its options and what they do."""

import argparse
import pathlib
import sys

import tpufi
from tpufi.campaign.engine.interrupt import interruptible
from tpufi.campaign.engine.local_pool import LocalPool
from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.ray_pool import RayPool
from tpufi.campaign.engine.run import Scale, run_campaign
from tpufi.campaign.engine.runner import RunnerOf
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.golden_check import check_golden
from tpufi.campaign.journal.manifest import session_entries
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.present_manifest import present_manifest
from tpufi.cli import above_0, positive
from tpufi.errors import InputError
from tpufi.training.devices import add_device_options, asked


def add_run(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of `run`."""
    parser.set_defaults(command=_run)
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
        default=Scale.window,
        help=f"experiments between two looks at the stop rules, default {Scale.window}",
    )
    add(
        "--block",
        type=positive,
        default=Scale.block,
        help=f"experiments that a worker takes at once, default {Scale.block}",
    )
    add(
        "--timeout",
        type=above_0,
        default=600,
        help="seconds without a sign of life (Ray: for an experiment) that end a "
        "worker, default 600",
    )
    add(
        "--start-timeout",
        type=above_0,
        default=3600,
        help="the same for its start, which compiles the program, default 3600",
    )
    add(
        "--allow-nondeterminism",
        action="store_true",
        help="go on if the golden run cannot be repeated; noted in the manifest",
    )
    add(
        "--allow-inactive", action="store_true", help="go on if a fault strikes nothing"
    )
    add_device_options(parser, "where the golden run was trained")
    add("--tensorboard", type=pathlib.Path, metavar="FOLDER", help="write scalars")


def _run(options: argparse.Namespace) -> int:
    plan = read_plan(options.file)
    config = check_golden(plan)
    asked(options).check_same(config.placement, plan.golden)
    if config.device == "tpu" and options.engine == "local" and options.workers > 1:
        raise InputError(
            f"{options.workers} workers on one TPU, which belongs to one process; give "
            "--workers 1, or --engine ray with a TPU for each"
        )
    sampler = plan.sampler(config.per_replica)
    verify = not options.allow_nondeterminism
    with interruptible() as stopping:
        ended = run_campaign(
            plan,
            sampler,
            options.out,
            present_manifest(plan, deterministic=verify),
            session_entries(sys.argv, tpufi.__version__, plan),
            lambda: _pool(options, RunnerOf(plan, verify)),
            Watcher(options.tensorboard),
            Scale(options.window, options.block),
            stopping,
            options.allow_inactive,
        )
    if ended.not_active:
        print(
            f"{options.out}: experiment {ended.not_active[0]} and "
            f"{len(ended.not_active) - 1} more struck nothing; see their errors in the "
            "journal; --allow-inactive goes on all the same",
            file=sys.stderr,
        )
        return 1
    if ended.reason is None:
        raise KeyboardInterrupt
    print(f"{options.out}: {ended.reason}")
    return 0


def _pool(options: argparse.Namespace, make: RunnerOf) -> Pool:
    limits = options.timeout, options.start_timeout
    if options.engine == "local":
        return LocalPool(make, options.workers, *limits)
    resources = dict(options.resources)
    return RayPool(make, options.workers, *limits, resources, options.ray_address)


def _resource(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    if not name or not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=N, e.g. TPU=4")
    return name, above_0(number)
