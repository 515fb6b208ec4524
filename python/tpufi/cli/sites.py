# SPDX-License-Identifier: Apache-2.0
"""Lists every site of a workload as CSV: where, shape, type, elements, MACs, list."""

import argparse
import csv
import io

from tpufi.cli import positive, print_lines
from tpufi.cli.command import Command, CommandParser
from tpufi.errors import InputError
from tpufi.messages import nearest_first, quote
from tpufi.site_table import Site

_COLUMNS = (
    "id", "site", "layer", "operation", "direction", "operand", "shape", "dtype",
    "elements", "macs", "artefact_list",
)  # fmt: skip
_UPDATE = "update"


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--workload", required=True, help="workload, or file.py:NAME")
    parser.add_argument(
        "--per-replica",
        type=positive,
        default=128,
        help="examples of a replica in a step",
    )
    parser.add_argument(
        "--layer", help="only the sites of layers whose name contains this"
    )


def _list(options: argparse.Namespace) -> int:
    from tpufi.faults.artefact_lists import has_sampling_lists, sampling_list
    from tpufi.faults.injection import STAGES
    from tpufi.models import any_workload

    work = any_workload(options.workload)
    listed = {
        name: stage[:4]
        for stage in STAGES
        if has_sampling_lists(options.workload)
        for name in sampling_list(options.workload, stage)
    }
    macs = {
        layer.name: layer.macs(shape, options.per_replica)
        for layer, shape in work.layers
    }
    kinds = {layer.name: type(layer).__name__ for layer, _ in work.layers}
    kinds[work.loss.name] = type(work.loss).__name__
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(_COLUMNS)
    sites = work.sites(options.per_replica)
    if options.layer and not any(options.layer in site.layer for site in sites):
        near = nearest_first(options.layer, {site.layer for site in sites}, 5)
        raise InputError(
            f"--layer {quote(options.layer)} is in no name of a layer; nearest: {near}"
        )
    for site_id, site in enumerate(sites):
        if options.layer is None or options.layer in site.layer:
            shape = "x".join(map(str, site.shape))
            member = listed.get(target_layer(site), "")
            work_done = macs.get(site.layer, 0)
            place = site.layer, kinds.get(site.layer, _UPDATE), site.direction
            size = shape, site.dtype, site.size
            rows.writerow(
                (site_id, site.name, *place, site.operand, *size, work_done, member)
            )
    print_lines(table.getvalue().splitlines())
    return 0


def target_layer(site: Site) -> str:
    """Return the site's layer as injection files name it."""
    if site.direction == "forward":
        return site.layer
    return f"{site.layer}_{site.direction}"


COMMAND = Command(
    __doc__,
    ("tpufi sites --workload resnet18 --layer conv1",),
    _add_options,
    _list,
)
