# SPDX-License-Identifier: Apache-2.0
"""A program with fault sites: called like the program, faulty when told to be."""

import contextlib
import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.armed_program import SITES, ArmedProgram
from tpufi.instrument.attached import ATTACHABLE, Attachment, place_of
from tpufi.instrument.block import Block, CurrentBlock
from tpufi.instrument.call_time import Values
from tpufi.instrument.export import save
from tpufi.instrument.fault_rows import Row, operands, rows_of
from tpufi.instrument.function_body import Survey
from tpufi.instrument.graph_faults import GraphFaults
from tpufi.instrument.graph_site import GraphSite, describe
from tpufi.instrument.graph_unit import GraphUnit
from tpufi.instrument.in_graph import call_in_graph, in_replica
from tpufi.instrument.injection_record import (
    InjectionRecord,
    injections_of,
    told_of_sizes,
)
from tpufi.instrument.options import Options
from tpufi.instrument.planned import PlannedRuns
from tpufi.instrument.profile import Execution, profile
from tpufi.instrument.site_fault import AnyFault, Given, listed
from tpufi.instrument.site_ids import SiteIds
from tpufi.instrument.traced_program import TracedProgram, as_tensors
from tpufi.instrument.uninjected import warn_of_uninjected
from tpufi.instrument.unit_given import unit_of
from tpufi.instrument.unit_program import UnitProgram
from tpufi.instrument.unit_record import UnitRecord, record_of
from tpufi.instrument.weights import WeightFault, corrupted
from tpufi.units import UnitFault


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One run of an instrumented program: what it returned and what was injected."""

    outputs: Any
    injections: tuple[InjectionRecord | UnitRecord, ...]


class Instrumented:
    """A program with fault sites; see `tpufi.instrument`.

    Args:
      program: what is called when injections are off.
      choose: returns the ids of the sites to arm, of all sites.
      planned: draws faults for calls when injections are on; None: they are given.
      jit_compile: whether XLA compiles the armed program; None: as the program is.
      options: how sites are made.
      replicas: how many replicas call it under a distribution strategy.
    """

    def __init__(
        self,
        program: Callable,
        choose: Callable[[Sequence[GraphSite]], frozenset[int]],
        planned: PlannedRuns | None,
        jit_compile: bool | None,
        options: Options,
        replicas: int,
    ):
        self.program = program
        place = place_of(program)
        self._attachment = None if place is None else Attachment(*place, self)
        if self._attachment is not None:
            program = self._attachment.program(program)
        self._own = program
        self._choose = choose
        self.planned = planned
        self._jit_compile, self._options = jit_compile, options
        self._replicas = replicas
        self._function = tf.function(
            lambda args, kwargs: program(*args, **kwargs), autograph=False
        )
        self._armed: dict[int, ArmedProgram] = {}
        self._latest: ArmedProgram | None = None
        self._ids, self._arming = SiteIds(), threading.Lock()
        self._current = CurrentBlock()
        self._blocks: list[Block] = []
        self._detached = False

    @tf.autograph.experimental.do_not_convert
    def __call__(self, *args, **kwargs) -> Any:
        """Return what the program returns, with faults if injections are on."""
        if self._detached:
            return self._own(*args, **kwargs)
        if not tf.executing_eagerly():
            armed = self._wanted(args, kwargs)
            return call_in_graph(
                armed, lambda: self._told(armed), as_tensors(args), as_tensors(kwargs)
            )
        block = self._current.block
        if block is None:
            return self._own(*args, **kwargs)
        if block.faults is None:
            run = self.planned.run(self, args, kwargs)
        elif block.unit is not None:
            run = self._run_unit(block.unit, block.calls, args, kwargs)
            block.calls += 1
        else:
            run = self._run(block.faults, args, kwargs)
        block.injections.extend(run.injections)
        return run.outputs

    @property
    def enabled(self) -> bool:
        """Whether injections are on in this thread."""
        return self._current.block is not None

    @property
    def model(self) -> "tf.keras.Model | None":
        """The Keras model that `attach` changes, if there is one."""
        return None if self._attachment is None else self._attachment.model

    @property
    def traces(self) -> int:
        """How many call signatures have been traced and armed."""
        return len(self._armed)

    @property
    def sites(self) -> tuple[GraphSite, ...]:
        """The armed sites of the call signature that was used last.

        Raises:
          InputError: the program has not been traced yet.
        """
        return self._known().sites

    def armed(self, *args, **kwargs) -> ArmedProgram:
        """Return the armed program for a call with such arguments."""
        self._check_attached()
        concrete = self._function.get_concrete_function(
            *map(as_tensors, (args, kwargs))
        )
        key = id(concrete)  # The armed program keeps it alive.
        with self._arming:
            if key not in self._armed:
                program = TracedProgram(concrete)
                survey = Survey(program, self._ids, self._options.operands)
                chosen = self._choose(survey.sites)
                self._armed[key] = ArmedProgram(
                    program, survey, chosen, self._options, self._jit_compile
                )
            self._latest = armed = self._armed[key]
        return armed

    def run(self, faults: Given | Sequence[Given], *args, **kwargs) -> Run:
        """Run the program once with these faults and none else.

        A fault whose site is not executed is warned of, likewise a unit that does
        nothing.

        Args:
          faults: one fault or several, of armed sites, written or drawn, or injection
            files of the program; or one broken unit, to which the call is step 0; none:
            the golden run of the armed program.
          *args: positional arguments of the program.
          **kwargs: keyword arguments of the program.

        Raises:
          InputError: a fault does not fit its site, or its site is not armed, or not in
            the trace for such a call; or programs have no such unit.
        """
        faults = listed(faults)
        unit = unit_of(faults)
        if unit is None:
            run = self._run(faults, args, kwargs)
        else:
            run = self._run_unit(unit, 0, args, kwargs)
        warn_of_uninjected(faults, run.injections, self._ids.name, stacklevel=2)
        return run

    def executions(self, *args, **kwargs) -> tuple[Execution, ...]:
        """Return every execution of an armed site in such a call, by running it."""
        args, kwargs = as_tensors(args), as_tensors(kwargs)
        return profile(self.armed(*args, **kwargs), args, kwargs)

    def turn_on(self) -> None:
        """Turn the configuration's injections on in this thread, until `turn_off`."""
        self._check_attached()
        if self.planned is None:
            raise InputError("there is no configuration; use injected(faults)")
        if self._current.block is None:
            self._current.block = Block(None)

    def turn_off(self) -> None:
        """Turn injections of this thread off; its calls go to the program again."""
        self._current.block = None

    @contextlib.contextmanager
    def injected(
        self, *faults: Given | Sequence[Given]
    ) -> Iterator[list[InjectionRecord | UnitRecord]]:
        """Turn injections on within a `with` block, in the thread that enters it.

        All of the faults are injected into each call in the block, eager calls and
        those in the user's own `tf.function` alike. A broken unit counts the calls as
        steps from 0, those in graphs separately. Without faults the configuration
        draws them again for each eager call. Calls of other threads have no fault, and
        each thread can have a separate block. A fault that was not injected is warned
        of.

        Yields:
          The injections, one entry for each row of each call; those in graphs are added
          up over the block for each signature and appear at its end.

        Raises:
          InputError: the block is inside another one; or, in a call, a fault does not
            fit, or its site is not in the trace for that call.
        """
        self._check_attached()
        faults = listed(faults)
        if self._current.block is not None:
            raise InputError("injections are on already; leave that block first")
        if not faults and self.planned is None:
            raise InputError("no fault and no configuration; name the faults")
        block = Block(faults or None)
        self._current.block = block
        self._blocks.append(block)
        self._trace_for(block.kind)
        try:
            yield block.injections
            block.injections += block.in_graphs()
            warn_of_uninjected(
                faults,
                block.injections,
                self._ids.name,
                stacklevel=3,
                uncalled=self._uncalled(),
            )
        finally:
            self._current.block = None
            self._blocks.remove(block)
            self._trace_for(SITES)
            block.end()

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The variables that the program reads or writes, in the order of their use."""
        return tuple(self._known().program.variables)

    def corrupted(self, *faults: WeightFault):
        """Keep faults in variables within a `with` block, see `weights.corrupted`."""
        return corrupted(self.variables, faults)

    def describe(self) -> str:
        """Return a table of the armed sites, after a first call or `armed(...)`."""
        return describe(self.sites)

    def write_graph(self, folder: str | os.PathLike[str]) -> None:
        """Write the armed graph for TensorBoard; sites are named `tpufi_fault_*`."""
        graph = self._known().graph
        with tf.summary.create_file_writer(os.fspath(folder)).as_default():
            tf.summary.graph(graph)

    def save(self, path: str | os.PathLike[str], *args) -> None:
        """Save the armed program for calls with such arguments as a SavedModel.

        It has `armed(*args, faults, words)`, which returns the outputs and the record
        of a descriptor (`tpufi.descriptor`), and `sites()`, the sites as JSON text.
        Loading it needs the ops: `import tpufi.ops` first.

        Raises:
          InputError: the folder exists or cannot be written.
        """
        args = as_tensors(args)
        save(self.armed(*args), self.program, args, pathlib.Path(path))

    def attach(self) -> Attachment:
        """Take the place of the model's own method, until `remove()` or `detach()`.

        For a Keras model: `predict`, `evaluate`, `fit` and calls of the model run the
        instrumented program, with faults in an `injected` block. Instrument
        `model.train_step` for sites in gradients and updates too.

        Returns:
          The attachment; as a context manager it ends with its block.

        Raises:
          InputError: the program is neither a Keras model nor its `train_step`,
            `test_step` or `predict_step`, or the model has one attached already.

        Example:
          >>> model = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.ReLU()])
          >>> fi, x = instrument(model), tf.ones([1, 2])
          >>> fault = flip(fi.armed(x).sites[0], element=1, bit=31)
          >>> with fi.attach(), fi.injected(fault):
          ...     model.predict(x, verbose=0).tolist()
          [[1.0, -1.0]]
          >>> model.predict(x, verbose=0).tolist()
          [[1.0, 1.0]]
        """
        self._check_attached()
        if self._attachment is None:
            raise InputError(
                "attach() takes the place of a method of a Keras model; instrument "
                f"{ATTACHABLE}, not {type(self.program).__name__}"
            )
        block = self._current.block
        return self._attachment.attach(SITES if block is None else block.kind)

    def detach(self) -> Callable:
        """Take the sites out for good and return the program."""
        self._detached = True
        if self._attachment is not None:
            self._attachment.remove()
        self._armed.clear()
        return self.program

    def _rows(self, armed: ArmedProgram, faults: Sequence[AnyFault]) -> list[Row]:
        """Return the rows of a descriptor with these faults, once they fit."""
        return [
            row
            for given in faults
            for row in rows_of(given, armed.site(given.site), self._replicas)
        ]

    def noted_run(
        self, faults: Sequence[Given], noted: int, *args, step: int = 0
    ) -> Run:
        """Run the program with faults, without a warning, and note few of their bits.

        Args:
          faults: as in `run`.
          noted: most golden bits that are recorded of a row; a large fault is cheaper.
          *args: positional arguments of the program.
          step: number of the call, from which a broken unit tells its moment.
        """
        faults = listed(faults)
        unit = unit_of(faults)
        if unit is None:
            return self._run(faults, args, {}, noted)
        return self._run_unit(unit, step, args, {})

    def _run(
        self,
        faults: Sequence[AnyFault],
        args: tuple,
        kwargs: Mapping,
        noted: int | None = None,
    ) -> Run:
        args, kwargs = as_tensors(args), as_tensors(kwargs)
        armed = self.armed(*args, **kwargs)
        rows = self._rows(armed, faults)
        with told_of_sizes():
            outputs, record = armed(args, kwargs, *operands(rows, noted))
        return Run(outputs, injections_of(rows, record.numpy()))

    def _run_unit(
        self, fault: UnitFault, step: int, args: tuple, kwargs: Mapping
    ) -> Run:
        args, kwargs = as_tensors(args), as_tensors(kwargs)
        program = self.armed(*args, **kwargs).with_unit(fault.unit)
        outputs, record = program(args, kwargs, *program.operands(fault, step))
        return Run(outputs, (record_of(fault, program.names, record.numpy()),))

    def _wanted(self, args: tuple, kwargs: Mapping) -> ArmedProgram | UnitProgram:
        """Return the trace for the faults that are on in this thread."""
        armed, block = self.armed(*args, **kwargs), self._current.block
        if block is None and in_replica():
            # A strategy traces replicas in threads that it starts.
            block = self._blocks[-1] if self._blocks else None
        if block is None or block.unit is None:
            return armed
        return armed.with_unit(block.unit.unit)

    def _trace_for(self, kind: Hashable) -> None:
        if self._attachment is not None:
            self._attachment.trace_for(kind)

    def _told(self, armed: ArmedProgram | UnitProgram) -> Values:
        """Return what a graph is told when this thread calls it."""
        block = self._current.block
        if block is None:
            return armed.no_faults.handles
        if block.faults is None:
            raise InputError(
                "the configuration draws faults for eager calls only, and a "
                "tf.function calls this program: name faults in injected(...), or call "
                "it eagerly"
            )
        if armed.kind != block.kind:
            raise InputError(
                "a tf.function that calls this program was traced for faults of "
                "another kind: of sites, or of units of one array, dataflow and "
                "register; make the tf.function inside this block"
            )

        def of_sites() -> tuple[Hashable, Callable[[], GraphFaults]]:
            rows = self._rows(armed, block.faults)
            where = tuple(armed.site(fault.site) for fault in block.faults)
            return where, lambda: GraphFaults(rows)

        def of_unit() -> tuple[Hashable, Callable[[], GraphUnit]]:
            fault = armed.fitted(block.unit)
            return armed.names, lambda: GraphUnit(fault, armed.names)

        return block.in_trace(
            armed, of_sites if block.unit is None else of_unit
        ).handles

    def _uncalled(self) -> str:
        """Return why a block may have ended without a call."""
        if self._attachment is None or self._attachment.attached:
            return "the program was not called"
        return (
            "the program was not called: predict, evaluate and fit call the Keras "
            "model itself, and this program within `with fi.attach():`"
        )

    def _known(self) -> ArmedProgram:
        self._check_attached()
        if self._latest is None:
            raise InputError(
                "the program has not been traced; call it, or armed(...) with the "
                "arguments of a call, first"
            )
        return self._latest

    def _check_attached(self) -> None:
        if self._detached:
            raise InputError("the sites were taken out; instrument the program again")
