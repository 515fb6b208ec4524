# SPDX-License-Identifier: Apache-2.0
"""Chooses which sites of a program are armed."""

import dataclasses
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence

from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.messages import nearest_first, quote

DIRECTIONS = ("forward", "backward", "update")
# Operations that only move or hold values: a fault there is one of their neighbours'.
MOVERS = frozenset(
    "BroadcastTo Cast ConcatV2 Const ConjugateTranspose DepthToSpace Exit ExpandDims "
    "Fill Gather GatherNd GatherV2 Identity IdentityN Merge MirrorPad OnesLike Pack "
    "Pad PadV2 "
    "PreventGradient ReadVariableOp Reshape ResourceGather Reverse ReverseV2 Select "
    "SelectV2 Slice SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice "
    "StridedSliceGrad TensorListGather TensorListGetItem TensorListPopBack "
    "TensorListStack Tile Transpose Unpack VariableV2 ZerosLike".split()
)
_SHAPES = frozenset("BroadcastGradientArgs Range Rank Shape ShapeN Size".split())


@dataclasses.dataclass(frozen=True)
class Selector:
    """Sites that have all of these properties; what is None or empty admits all.

    Without `op`, `name` or `id`, operations that only move values or compute shapes are
    not meant.

    Args:
      op: operation type, or a pattern with `*` and `?`, e.g. `Conv2D*`.
      layer: pattern of the layer, which is the scope of the operation; or Keras' path
        of a layer or an end of it, e.g. `sequential/stem` or `stem`.
      name: pattern of the site's name.
      nth: the operation is the n-th of its type in the program, from 1.
      dtype: name of the element type.
      direction: `forward`, `backward` or `update`.
      output: number of the operation's output.
      id: id of the site.
    """

    op: str | None = None
    layer: str | None = None
    name: str | None = None
    nth: int | None = None
    dtype: str | None = None
    direction: str | None = None
    output: int | None = None
    id: int | None = None

    def admits(self, site: GraphSite) -> bool:
        """Whether a site has these properties."""
        if site.op in MOVERS | _SHAPES and not self._names_operations:
            return False
        patterns = (self.op, site.op), (self.layer, site.layer), (self.name, site.name)
        equal = (
            (self.nth, site.ordinal),
            (self.dtype, site.dtype),
            (self.direction, site.direction),
            (self.output, site.output),
            (self.id, site.id),
        )
        return all(
            pattern is None or fnmatch.fnmatchcase(value, pattern)
            for pattern, value in patterns
        ) and all(wanted is None or wanted == value for wanted, value in equal)

    @property
    def _names_operations(self) -> bool:
        return not (self.op is self.name is self.id is None)


def _in_layer(path: str, scope: str, number: str) -> bool:
    parts = (re.escape(part) + number for part in path.split("/"))
    return re.search(f"(^|/){'/'.join(parts)}(/|$)", scope) is not None


def selector(given: "Selector | Mapping | str") -> Selector:
    """Return a selector from its fields, or from the type of an operation.

    Raises:
      InputError: an unknown field, or a value of the wrong type.
    """
    if isinstance(given, Selector):
        return given
    if isinstance(given, str):
        return Selector(op=given)
    if not isinstance(given, Mapping):
        raise InputError(
            f"sites: {quote(given)}; expected a mapping or an operation type"
        )
    known = {field.name: field.type for field in dataclasses.fields(Selector)}
    for key, value in given.items():
        if key not in known:
            raise InputError(
                f"sites: unknown property {quote(str(key))}; known, nearest first: "
                f"{nearest_first(str(key), known)}"
            )
        kind = int if key in ("nth", "output", "id") else str
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"sites: {key} {quote(value)}; expected {kind.__name__}")
    direction = given.get("direction")
    if direction is not None and direction not in DIRECTIONS:
        raise InputError(
            f"sites: direction {quote(direction)}; known: {', '.join(DIRECTIONS)}"
        )
    return Selector(**given)


def select(
    sites: Sequence[GraphSite],
    include: "Iterable[Selector | Mapping | str] | None",
    exclude: "Iterable[Selector | Mapping | str]" = (),
) -> frozenset[int]:
    """Return the ids of the sites to arm.

    Args:
      sites: all sites of the program.
      include: a site is armed if one of these admits it; None: the floating-point
        results of operations that compute, i.e. all but `MOVERS`.
      exclude: sites not to arm.

    Raises:
      InputError: a selector admits no site, or no site is left.
    """
    if include is None:
        chosen = {s.id for s in sites if "float" in s.dtype and s.op not in MOVERS}
    else:
        chosen = set().union(*(_admitted(sites, selector(s)) for s in include))
    for given in exclude:
        chosen -= _admitted(sites, selector(given))
    if not chosen:
        raise InputError(
            f"no site is left of the program's {len(sites)}; choose more in sites="
        )
    return frozenset(chosen)


def _admitted(sites: Sequence[GraphSite], wanted: Selector) -> set[int]:
    found = _found(sites, wanted)
    if found:
        return found
    fields = {k: v for k, v in dataclasses.asdict(wanted).items() if v is not None}
    raise InputError(f"sites: no site has {fields}; {_hint(sites, wanted, fields)}")


def _found(sites: Sequence[GraphSite], wanted: Selector) -> set[int]:
    found = {site.id for site in sites if wanted.admits(site)}
    if found or wanted.layer is None:
        return found
    anywhere = dataclasses.replace(wanted, layer=None)
    rest = [site for site in sites if anywhere.admits(site)]
    # Keras opens the scope of a layer twice, and TensorFlow numbers the second: the
    # scope of `stem` is `stem_1`, and that of another layer `stem_1` is `stem_1_2`.
    for number in (r"_\d+", r"(_\d+)?"):
        if found := {s.id for s in rest if _in_layer(wanted.layer, s.layer, number)}:
            break
    return found


def _hint(sites: Sequence[GraphSite], wanted: Selector, fields: Mapping) -> str:
    """Return what would have found something."""
    if wanted.op is None:
        moved = _found(sites, dataclasses.replace(wanted, op="*"))
        ops = ", ".join(sorted({site.op for site in sites if site.id in moved}))
        if ops:
            return f"only operations that move values do: add 'op', one of {ops}"
    for key in ("op", "layer", "name", "dtype"):
        value = getattr(wanted, key)
        if value is None:
            continue
        others = {k: v for k, v in fields.items() if k != key}
        for other in (
            {"layer": value},
            {"layer": f"*{value}*"},
            {"name": f"*{value}*"},
        ):
            count = len(_found(sites, Selector(**{**others, **other})))
            if count and key != "dtype":
                return f"write { ({**others, **other}) }, which has {count}"
        known = {getattr(site, key) for site in sites}
        if value not in known:
            return f"nearest {key}s: {nearest_first(value, known, 6)}"
    return f"the program has {len(sites)} sites"
