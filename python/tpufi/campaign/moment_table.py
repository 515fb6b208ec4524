# SPDX-License-Identifier: Apache-2.0
"""How often faults with a moment were injected, as a line."""

from collections.abc import Iterator

from tpufi.campaign.journal.reader import Reader
from tpufi.messages import counted

_QUERY = (
    "SELECT count(*), sum(injected_steps = 0), sum(injected_steps), sum(steps_run) "
    "FROM experiment WHERE moment IS NOT NULL AND injected_steps IS NOT NULL"
)


def moment_lines(journal: Reader) -> Iterator[str]:
    """Yield how often faults were injected; nothing if none has a moment.

    Args:
      journal: open for reading.
    """
    ((experiments, never, injected, steps),) = journal.query(_QUERY)
    if experiments:
        yield (
            f"of {counted(experiments, 'fault')} with a moment {never} were injected "
            f"in no step up to the horizon, which is masked; {injected} of {steps} "
            "steps were injected"
        )
