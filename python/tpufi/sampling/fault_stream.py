# SPDX-License-Identifier: Apache-2.0
"""The faults of many experiments as lines, drawn by one process or several."""

import functools
import multiprocessing
import signal
from collections.abc import Iterator

from tpufi.faults.fault_line import fault_line
from tpufi.models import workload
from tpufi.sampling.sampler import Sampler
from tpufi.sampling.sampling_plan import SamplingPlan
from tpufi.sampling.site_space import SiteSpace

_CHUNK = 500


def fault_lines(
    name: str,
    per_replica: int,
    plan: SamplingPlan,
    seed: int,
    first: int,
    count: int,
    workers: int = 1,
) -> Iterator[str]:
    """Yield the faults of experiments `first` to `first + count - 1` as lines of JSON.

    Args:
      name: workload.
      per_replica: images of one replica, >= 1.
      plan: what to draw from.
      seed: campaign seed, 0 <= seed < 2**64.
      first: first experiment, >= 0.
      count: experiments, >= 0.
      workers: processes, >= 1; the lines are the same for any number.

    Raises:
      InputError: unknown workload, or the plan does not fit it; before the first line.
    """
    draw = functools.partial(_lines, name, per_replica, plan, seed)
    last = first + count
    chunks = (range(i, min(i + _CHUNK, last)) for i in range(first, last, _CHUNK))
    _sampler(name, per_replica, plan)  # Wrong input is found here, not in a worker.
    if workers == 1:
        for chunk in chunks:
            yield from draw(chunk)
        return
    # The workers fork from a server that has imported this module, so TensorFlow is
    # imported once and no thread of this process is copied.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    # An interrupt is for this process, which then ends the workers.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with context.Pool(workers, signal.signal, ignore) as pool:
        for lines in pool.imap(draw, chunks):
            yield from lines


@functools.lru_cache(maxsize=4)
def _sampler(name: str, per_replica: int, plan: SamplingPlan) -> Sampler:
    return Sampler(SiteSpace.of(workload(name), per_replica), plan)


def _lines(
    name: str, per_replica: int, plan: SamplingPlan, seed: int, numbers: range
) -> list[str]:
    sampler = _sampler(name, per_replica, plan)
    return [fault_line(sampler.draw(seed, number)) for number in numbers]
