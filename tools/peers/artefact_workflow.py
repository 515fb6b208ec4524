# SPDX-License-Identifier: Apache-2.0
"""One experiment as the ISCA'23 artefact does it: a separate process, from the epoch.

It loads the checkpoint of the epoch's start, trains up to the faulty step, injects with
two passes and a new trace, and trains on. Left out are the second convolution of
confined faults and the validation at the end of each epoch.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from peers.mask_delta import MaskDeltaInjector
from tpufi.campaign.plan_file import read_plan
from tpufi.fault import Fault
from tpufi.golden import GoldenFolder, open_golden
from tpufi.random import derive
from tpufi.training import Program, Session, State, make_deterministic


@dataclasses.dataclass(frozen=True)
class Spent:
    """Seconds of the parts of an experiment.

    Args:
      load: of the checkpoint.
      forward: up to the faulty step, with the trace of the clean step.
      inject: the fetching pass, the new trace and the faulty step.
      follow: the steps after it.
      start: of the process: imports, data, program.
    """

    load: float
    forward: float
    inject: float
    follow: float
    start: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.load + self.forward + self.inject + self.follow + self.start


def run_in_new_process(
    file: pathlib.Path, number: int, steps: int, starts: pathlib.Path
) -> Spent:
    """Run one experiment of a campaign file.

    Args:
      file: campaign file; its golden run has one replica.
      number: of the experiment.
      steps: to train, the faulty one included.
      starts: folder with a checkpoint at the start of every epoch.
    """
    begun = time.monotonic()
    command = [sys.executable, "-m", "peers.artefact_workflow"]
    arguments = [str(file), str(number), str(steps), str(starts)]
    folder = pathlib.Path(__file__).parents[1]
    found = subprocess.run(
        [*command, *arguments], cwd=folder, stdout=subprocess.PIPE, check=True
    )
    spent = Spent(**json.loads(found.stdout.splitlines()[-1]))
    start = time.monotonic() - begun - spent.total
    return dataclasses.replace(spent, start=start)


def experiment(
    session: Session, fault: Fault, steps: int, starts: GoldenFolder
) -> Spent:
    """Run one experiment and return the seconds of its parts."""
    work = session.program.workload
    clean = Program(work, 1, session.program.per_replica)
    ours = Session(clean, session.batches, session.seed, session.learning_rate)
    moments = [time.monotonic()]
    begin = fault.epoch * session.steps_per_epoch
    first = begin + fault.step
    state = starts.load(work, begin)
    moments.append(time.monotonic())
    for number in range(begin, first):
        state = ours.step(state, number).state
    moments.append(time.monotonic())
    state = _injected(ours, state, fault, first)
    moments.append(time.monotonic())
    for number in range(first + 1, first + steps):
        state = ours.step(state, number).state
    moments.append(time.monotonic())
    return Spent(*np.diff(moments).tolist())


def _injected(session: Session, state: State, fault: Fault, first: int) -> State:
    """Return the state after the faulty step; the new values are the fault's words."""
    batch = session.batches.train(fault.epoch, fault.step)
    key = derive(session.seed, "dropout", fault.epoch, fault.step, 0)
    rate = session.program.workload.schedule.rate(session.learning_rate, first)
    inputs = (
        tf.constant(batch.images[0]),
        tf.constant(batch.labels[0]),
        tf.constant(np.array(key, np.uint32)),
        tf.constant(rate, tf.float32),
    )
    positions = np.arange(fault.elements.count) + fault.elements.start
    low = np.array(fault.words, np.uint64) & np.uint64(0xFFFFFFFF)
    words = np.resize(low, len(positions))
    injector = MaskDeltaInjector(session.program.workload)
    state, loss = injector.step(state, inputs, fault.site, positions, words)
    loss.numpy()
    return state


def _main(file: str, number: str, steps: str, starts: str) -> None:
    make_deterministic()
    plan = read_plan(file)
    _, session = open_golden(plan.golden)
    fault = plan.sampler(session.program.per_replica).draw(plan.seed, int(number))
    folder = GoldenFolder(pathlib.Path(starts))
    print(
        json.dumps(dataclasses.asdict(experiment(session, fault, int(steps), folder)))
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
