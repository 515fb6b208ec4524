# SPDX-License-Identifier: Apache-2.0
"""What a program refuses before it runs: faults that its lowering cannot do."""

import numpy as np

from tpufi.descriptor import FIELDS, Descriptor
from tpufi.errors import InputError
from tpufi.layers.layout import Layout
from tpufi.layers.lowering import LEAN, SELECT
from tpufi.site_table import SiteTable
from tpufi.training.grouped import GROUPED
from tpufi.workload import Workload


def check_fault(
    fault: Descriptor,
    lowering: str,
    workload: Workload,
    table: SiteTable,
    per_replica: int,
) -> None:
    """Refuse a fault that a program would leave out.

    Args:
      fault: what to inject.
      lowering: of the program.
      workload: of the program.
      table: its sites.
      per_replica: examples of one replica.

    Raises:
      InputError: the lowering cannot do what the fault asks for.
    """
    if lowering == SELECT and not fault.fits_select:
        raise InputError(
            "this program has lowering 'select', which writes given bits to "
            "consecutive elements only; make a Program with lowering='branch'"
        )
    if lowering not in (LEAN, GROUPED):
        return
    if not fault.fits_lean:
        raise InputError(
            f"this program has lowering {lowering!r}, which replaces consecutive "
            "elements by given bits only; make a Program with lowering='select' or "
            "'branch'"
        )
    for row, site_id in enumerate(fault.faults[:, FIELDS.index("site")].tolist()):
        if 0 <= site_id < len(table):
            _check_positions(fault, row, table, site_id, workload, per_replica)


def _check_positions(
    fault: Descriptor,
    row: int,
    table: SiteTable,
    site_id: int,
    workload: Workload,
    per_replica: int,
) -> None:
    """Refuse positions outside the site, or at zeros that only a textbook writes."""
    site = table[site_id]
    positions = fault.positions(row)
    outside = positions[(positions < 0) | (positions >= site.size)]
    if len(outside):
        raise InputError(
            f"position {outside[0]} is outside site {site.name}, whose indices are "
            f"[0, {site.size})"
        )
    layout = _stored(workload, per_replica, site.layer, (site.direction, site.operand))
    if layout is None:
        return
    zeros = positions[np.logical_not(layout.holds(positions))]
    if len(zeros):
        raise InputError(
            f"position {zeros[0]} of site {site.name} is a zero that only the textbook "
            "form has, which lean programs do not build; make a Program with "
            "lowering='select' or 'branch'"
        )


def _stored(
    workload: Workload, per_replica: int, name: str, site: tuple[str, str]
) -> Layout | None:
    """Return the layout of a textbook operand, or None of any other site."""
    for layer, shape in workload.layers:
        if layer.name == name:
            return layer.textbook(shape, per_replica).get(site)
    return None
