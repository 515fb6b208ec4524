# SPDX-License-Identifier: Apache-2.0
"""What a user can choose about a report."""

import dataclasses
import math
import pathlib

from tpufi.campaign.stop_rule import STRATUM_KEYS
from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.statistics.intervals import check_confidence

_LONGEST_TITLE = 200


@dataclasses.dataclass(frozen=True)
class Options:
    """Choices; every default gives a whole report.

    Args:
      title: of the page; empty: it names the workload.
      by: what makes the strata of an extra section, among `stop_rule.STRATUM_KEYS`.
      confidence: of the intervals, above 0, below 1.
      exact: Clopper-Pearson's intervals instead of Wilson's.
      raw_fit: FIT of all flip-flops together, were no fault masked; > 0; None: no
        section on FIT.
      golden: folders of the golden run and, behind it, of its band; empty: those that
        the journal names.

    Raises:
      InputError: a field is out of range.
    """

    title: str = ""
    by: tuple[str, ...] = ()
    confidence: float = 0.95
    exact: bool = False
    raw_fit: float | None = None
    golden: tuple[pathlib.Path, ...] = ()

    def __post_init__(self) -> None:
        if len(self.title) > _LONGEST_TITLE or not self.title.isprintable():
            raise InputError(
                f"title {quote(self.title)}; expected at most {_LONGEST_TITLE} "
                "printable characters; shorten it"
            )
        for key in self.by:
            if key not in STRATUM_KEYS or self.by.count(key) > 1:
                raise InputError(
                    f"by: {quote(key)}; expected different names among "
                    f"{', '.join(STRATUM_KEYS)}"
                )
        try:
            check_confidence(self.confidence)
        except ValueError as error:
            raise InputError(str(error)) from None
        if self.raw_fit is not None and not 0 < self.raw_fit < math.inf:
            raise InputError(f"raw FIT {self.raw_fit}; expected a number above 0")
