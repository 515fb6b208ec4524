# SPDX-License-Identifier: Apache-2.0
"""Sites: the tensors of a workload that can have a fault, and their table."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator

from tpufi.errors import InputError
from tpufi.messages import quote

PASSES, UPDATE = ("forward", "grad_in", "grad_wt"), "update"
DIRECTIONS = (*PASSES, UPDATE)
# Of a program of the user, where nobody tells which gradient an operation computes.
BACKWARD = "backward"
# Of a broken unit, which has a part in all of them.
EVERY = "every"


@dataclasses.dataclass(frozen=True)
class Site:
    """One tensor of one operation that can have a fault.

    Args:
      layer: name of the layer, e.g. `basicblock_2_basic_0_conv2`.
      direction: `forward`, `grad_in` (gradient with respect to the layer input),
        `grad_wt` (gradient with respect to a parameter) or `update` (optimiser);
        `EVERY` of a broken unit.
      operand: which tensor of that operation, e.g. `input`, `weight`, `output`.
      shape: shape of the tensor in the layout that positions refer to; the batch
        axis counts one replica.
      dtype: name of the element type, e.g. `float32`.
      op: type of the operation, e.g. `Conv2D`; empty: not told.
      own_name: name of a site of a program, or of what a broken unit is a part of;
        empty: `layer/direction/operand`.
    """

    layer: str
    direction: str
    operand: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    op: str = ""
    own_name: str = ""

    def __post_init__(self) -> None:
        if self.direction not in (*DIRECTIONS, BACKWARD, EVERY):
            raise ValueError(f"direction {self.direction!r} is not in {DIRECTIONS}")

    @property
    def name(self) -> str:
        """Stable name, `layer/direction/operand` in a workload."""
        return self.own_name or f"{self.layer}/{self.direction}/{self.operand}"

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class SiteTable:
    """The sites of one workload in a fixed order; the position is the site id."""

    def __init__(self, sites: Iterable[Site]):
        self._sites = tuple(sites)
        self._ids = {site.name: i for i, site in enumerate(self._sites)}
        if len(self._ids) != len(self._sites):
            names = [site.name for site in self._sites]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"site names are not unique: {', '.join(twice[:5])}")

    def __len__(self) -> int:
        return len(self._sites)

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites)

    def __getitem__(self, site_id: int) -> Site:
        return self._sites[site_id]

    def __contains__(self, name: str) -> bool:
        return name in self._ids

    def id_of(self, name: str) -> int:
        """Return the id of the site called `name`.

        Raises:
          InputError: there is no such site; the message lists the nearest names.
        """
        if name not in self._ids:
            near = difflib.get_close_matches(name, self._ids, n=3, cutoff=0.3)
            raise InputError(
                f"unknown site {quote(name)}; nearest of the {len(self)} known sites: "
                f"{', '.join(near) or 'none'}"
            )
        return self._ids[name]

    def layers(self, direction: str) -> tuple[str, ...]:
        """Return the names of the layers that have sites in `direction`, in order."""
        return tuple(
            dict.fromkeys(s.layer for s in self._sites if s.direction == direction)
        )

    def kept(self) -> dict[str, int]:
        """Return how many elements the layers keep for their backward pass, by name."""
        return {
            site.layer: site.size
            for site in self._sites
            if (site.direction, site.operand) == ("forward", "input")
        }
