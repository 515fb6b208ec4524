# SPDX-License-Identifier: Apache-2.0
"""One experiment as the ISCA'23 artefact does it, at its best.

It loads the checkpoint of the epoch's start, trains up to the struck step, injects with
two passes and a new trace, and trains on. What the artefact pays besides is left out: a
new process and a new program for every experiment, and the second convolution of
confined faults.
"""

import numpy as np
import tensorflow as tf

from peers.mask_delta import MaskDeltaInjector
from tpufi.campaign.engine.experiment import Experimenter
from tpufi.faults.fault import Fault
from tpufi.golden import GoldenFolder
from tpufi.random import derive
from tpufi.training import Program, Session, State


class ArtefactWorkflow:
    """Experiments of a campaign with one replica, one after the other.

    Args:
      experimenter: of the campaign, for its plan and session.
      folder: holds a checkpoint at the start of every epoch.
    """

    def __init__(self, experimenter: Experimenter, folder: GoldenFolder):
        session = experimenter.session
        work = session.program.workload
        clean = Program(work, 1, session.program.per_replica, with_sites=False)
        self._folder = folder
        self._session = Session(
            clean, session.batches, session.seed, session.learning_rate
        )
        self._injector = MaskDeltaInjector(work)

    @property
    def traces(self) -> int:
        """Traces of the injector so far."""
        return self._injector.traces

    def run(self, fault: Fault, steps: int) -> State:
        """Run one experiment.

        Args:
          fault: where it strikes; its words, repeated, are the new values.
          steps: to train, the struck one included.
        """
        session = self._session
        begin = fault.epoch * session.steps_per_epoch
        first = begin + fault.step
        state = self._folder.load(session.program.workload, begin)
        for number in range(begin, first):
            state = session.step(state, number).state
        batch = session.batches.train(fault.epoch, fault.step)
        key = derive(session.seed, "dropout", fault.epoch, fault.step, 0)
        rate = session.program.workload.schedule.rate(session.learning_rate, first)
        inputs = (
            tf.constant(batch.images[0]),
            tf.constant(batch.labels[0]),
            tf.constant(np.array(key, np.uint32)),
            tf.constant(rate, tf.float32),
        )
        positions = np.arange(fault.positions.count) + fault.positions.start
        low = np.array(fault.words, np.uint64) & np.uint64(0xFFFFFFFF)
        words = np.resize(low, len(positions))
        state, _ = self._injector.step(state, inputs, fault.site, positions, words)
        for number in range(first + 1, first + steps):
            state = session.step(state, number).state
        return state
