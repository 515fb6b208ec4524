# SPDX-License-Identifier: Apache-2.0
"""One trace of a program with fault ops behind chosen operations."""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence, Set

import tensorflow as tf
from tensorflow.core.framework import function_pb2

from tpufi.errors import InputError
from tpufi.instrument.function_body import Survey
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.on_gpu import compilation, told_of_missing_kernels
from tpufi.instrument.options import Options
from tpufi.instrument.splice import Splicer
from tpufi.instrument.traced_program import TracedProgram, load
from tpufi.integers import integer
from tpufi.messages import nearest_first, quote


class ArmedProgram:
    """The program of one call signature, as a function of a fault descriptor too.

    Args:
      program: the trace.
      survey: its sites.
      chosen: ids of the sites to arm.
      options: how sites are made.
      jit_compile: whether XLA compiles it; None leaves that to the program, but on a
        GPU, where it has to.

    """

    def __init__(
        self,
        program: TracedProgram,
        survey: Survey,
        chosen: Set[int],
        options: Options,
        jit_compile: bool | None,
    ):
        self.program = program
        self._survey, self._options, self._jit_compile = survey, options, jit_compile
        self.sites = tuple(site for site in survey.sites if site.id in chosen)
        self.skipped = tuple(survey.skipped)
        self._by_id = {site.id: site for site in self.sites}
        self._all, self._ids = {site.id for site in survey.sites}, survey.ids
        splicer = Splicer(chosen, options, program.library)
        splicer.splice(survey.body)
        definition = splicer.functions[0]
        compiled = compilation(jit_compile)
        self._forced = compiled and not jit_compile
        if compiled is not None:
            definition.attr["_XlaMustCompile"].b = compiled
        changed = {f.signature.name: f for f in splicer.functions}
        name = definition.signature.name
        self._function = load(_needed(name, program.library | changed), name, program)

    @property
    def by_id(self) -> dict[int, GraphSite]:
        """The armed sites by id, in the program's order."""
        return self._by_id

    def site(self, wanted: int | str) -> GraphSite:
        """Return an armed site by its id or its name.

        Raises:
          InputError: there is no such site, this trace does not have it, or it is not
            armed.
        """
        if isinstance(wanted, str):
            site_id = self._ids.id_of(wanted)
        else:
            site_id = integer("site", wanted)
        if site_id is None:
            near = nearest_first(wanted, [site.name for site in self.sites], 3)
            raise InputError(f"no site {quote(wanted)}; nearest armed ones: {near}")
        name = self._ids.name(site_id)
        if name is not None and site_id not in self._all:
            raise InputError(
                f"site {site_id}, {name}, is not in the trace for "
                f"{self.program.signature}, but in another one; inject into a site "
                "that armed(...).sites lists for such a call, or leave the call out"
            )
        if site_id not in self._by_id:
            known = ", ".join(map(str, list(self._by_id)[:5]))
            raise InputError(
                f"site {site_id} is not armed; the {len(self._by_id)} armed ones, "
                f"{known}, ..., are in describe(): arm more with sites="
            )
        return self._by_id[site_id]

    @property
    def graph(self) -> tf.Graph:
        """The graph with its fault ops."""
        return self._function.graph

    @functools.cached_property
    def with_ranges(self) -> "ArmedProgram":
        """The same program; its record tells ranges of sites, which take no faults."""
        options = dataclasses.replace(self._options, ranges=True)
        chosen = self._by_id.keys()
        return ArmedProgram(
            self.program, self._survey, chosen, options, self._jit_compile
        )

    def __call__(
        self,
        args: tuple,
        kwargs: dict,
        context: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[object, tf.Tensor]:
        """Run the program with the faults of a descriptor.

        Returns:
          What the program returns, and the record int64 [rows, 1 + capacity].
        """
        flat = self.program.flat(args, kwargs)
        with told_of_missing_kernels() if self._forced else contextlib.nullcontext():
            *outputs, record = self._function([*flat, context, faults, words])
        return self.program.pack(outputs), record


def _needed(top: str, library: dict) -> Sequence[function_pb2.FunctionDef]:
    """Return the functions that `top` reaches."""
    found: dict[str, function_pb2.FunctionDef] = {}
    pending = [top]
    while pending:
        name = pending.pop()
        if name in found or name not in library:
            continue
        found[name] = library[name]
        for node in found[name].node_def:
            pending.append(node.op)
            for attribute in node.attr.values():
                if attribute.WhichOneof("value") == "func":
                    pending.append(attribute.func.name)
                pending += [f.name for f in attribute.list.func]
    return list(found.values())
