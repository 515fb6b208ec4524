# SPDX-License-Identifier: Apache-2.0
"""Guards behind a site, which take the worst of a fault away.

Source: Chen et al., DSN'21 (Ranger): range restriction; restated, not its code.
"""

from tpufi.instrument.function_body import Place
from tpufi.instrument.nodes import add_node, constant, type_attr
from tpufi.instrument.options import Options


def guarded(definition, place: Place, faulty: str, options: Options) -> str:
    """Add the guards of a site; return the name of the guarded value.

    Args:
      definition: the function; changed in place.
      place: the site.
      faulty: its value, as a fault leaves it.
      options: which guards there are.
    """
    site = place.site
    if "float" not in site.dtype:
        return faulty
    if options.nan_guard:
        faulty = _finite(definition, place, faulty)
    if site.name in (options.bounds or {}):
        faulty = _bounded(definition, place, faulty, options.bounds[site.name])
    return faulty


def _finite(definition, place: Place, faulty: str) -> str:
    """Make NaN and Inf 0."""
    name, kind = f"{place.node}/tpufi_nan_guard_{place.tag}", {}
    kind["T"] = type_attr(place.site.dtype)
    zero = constant(definition, f"{name}/zero", 0.0, place.site.dtype)
    add_node(definition, f"{name}/is_finite", "IsFinite", (faulty,), **kind)
    chosen = f"{name}/is_finite:y:0", faulty, zero
    add_node(definition, name, "SelectV2", chosen, **kind)
    return f"{name}:output:0"


def _bounded(definition, place: Place, faulty: str, bounds: tuple[float, float]) -> str:
    """Bring a value outside the site's bounds back; NaN becomes the smallest."""
    name, kind = f"{place.node}/tpufi_bound_{place.tag}", {}
    kind["T"] = type_attr(place.site.dtype)
    low, high = (
        constant(definition, f"{name}/{end}", value, place.site.dtype)
        for end, value in zip(("low", "high"), bounds, strict=True)
    )
    number, is_number = f"{name}/number", f"{name}/is_number"
    same = add_node(definition, is_number, "Equal", (faulty, faulty), **kind)
    same.attr["incompatible_shape_error"].b = True
    chosen = f"{is_number}:z:0", faulty, low
    add_node(definition, number, "SelectV2", chosen, **kind)
    least, most = f"{name}/least", f"{name}/most"
    add_node(definition, least, "Maximum", (f"{number}:output:0", low), **kind)
    add_node(definition, most, "Minimum", (f"{least}:z:0", high), **kind)
    return f"{most}:z:0"
