# SPDX-License-Identifier: Apache-2.0
"""Puts fault sites into any TensorFlow program; see docs/instrument.md.

`tpufi.instrument(...)` calls the function of this name; the package's other names are
behind it, as in `tpufi.instrument.flip`.
"""

import functools
import inspect
import sys
import types
from collections.abc import Mapping, Sequence

from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.instrument.instrumented import Instrumented, Run
from tpufi.instrument.keras_layers import with_paths
from tpufi.instrument.options import Options
from tpufi.instrument.planned import Plan, PlannedRuns
from tpufi.instrument.programs import as_callable
from tpufi.instrument.selection import Selector, select
from tpufi.instrument.site_fault import SiteFault, flip, replace, zero
from tpufi.instrument.unit_record import UnitRecord
from tpufi.instrument.weights import WeightFault
from tpufi.messages import quote
from tpufi.ops import gradient_attribute

__all__ = [
    "GraphSite",
    "Instrumented",
    "Run",
    "Selector",
    "SiteFault",
    "InjectionRecord",
    "UnitRecord",
    "WeightFault",
    "flip",
    "instrument",
    "replace",
    "zero",
]


def instrument(
    program: object,
    config: Plan | None = None,
    *,
    sites: Sequence[object] | None = None,
    exclude: Sequence[object] = (),
    jit_compile: bool | None = None,
    gradient: str = "straight_through",
    replicas: int = 1,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    nan_guard: bool = False,
    operands: bool = False,
    feeds: Sequence[str] = (),
    fetches: Sequence[str] = (),
    signature: str | None = None,
) -> Instrumented:
    """Put fault sites behind operations of a program, which is then called as before.

    The program's own graph is taken, a fault op is put behind each chosen operation,
    also in functions, branches and loop bodies, and the result is one more function of
    the same inputs and a fault descriptor: one trace serves all faults. While
    injections are off, calls go to the program itself.

    Args:
      program: a Keras model, a `tf.function` or concrete function (training steps
        included), a callable `tf.Module`, a Python function of tensors, a frozen
        GraphDef, the folder of a SavedModel, a `.keras` or a `.pb` file.
      config: a plan; it chooses which operations are armed, and draws the faults of
        calls while injections are on, such as the plan of a configuration of TensorFI
        (`tpufi.contrib.tensorfi.any_plan.read_plan`).
      sites: without a configuration, which outputs are armed: selectors, their fields,
        operation types, or layers of Keras; None: the floating-point results of all
        operations that compute.
      exclude: the same, for outputs that are not armed.
      jit_compile: whether XLA compiles the armed program; None: what the program says,
        but with a GPU it does.
      gradient: `straight_through` or `zero_at_faulty`, if a tape differentiates a call.
      replicas: how many replicas call it under a distribution strategy.
      bounds: a mitigation: smallest and largest value of sites, by name
        (`tpufi.instrument.inference.activation_bounds`).
      nan_guard: a mitigation: whether NaN and Inf become 0 behind each floating-point
        site.
      operands: whether what a multiplication reads is a site too, beside results: a
        fault there is not in what other operations read.
      feeds: of a GraphDef: tensors that the arguments replace, in order.
      fetches: of a GraphDef: tensors that it returns.
      signature: of a SavedModel: the signature to call.

    Raises:
      InputError: the program is none of these; or, when it is first traced, a selector
        admits no site.

    Example:
      >>> import tensorflow as tf
      >>> fi = instrument(lambda x: tf.nn.relu(x + 1.0))
      >>> x = tf.constant([1.0, 2.0])
      >>> [site.op for site in fi.armed(x).sites]
      ['AddV2', 'Relu']
      >>> with fi.injected(flip(site=fi.sites[0].id, element=1, bit=31)) as injections:
      ...     fi(x).numpy().tolist()
      [2.0, 0.0]
      >>> injections[0].golden, injections[0].faulty
      (array([1077936128], dtype=uint64), array([3225419776], dtype=uint64))
    """
    if config is None:
        planned = None
        include, exclude = (with_paths(s, program) for s in (sites, exclude))
        choose = functools.partial(select, include=include, exclude=exclude or ())
    elif sites is not None or exclude:
        raise InputError("sites and config both choose operations; give one of them")
    else:
        planned = PlannedRuns(_plan(config))
        choose = planned.plan.choose
    return Instrumented(
        as_callable(program, feeds, fetches, signature),
        choose,
        planned,
        jit_compile,
        Options(gradient_attribute(gradient), bounds, nan_guard, operands),
        replicas,
    )


def _plan(config: Plan) -> Plan:
    if callable(getattr(config, "choose", None)):
        return config
    raise InputError(
        f"config {quote(config)} is not a plan; tpufi.contrib.tensorfi.any_plan"
        ".read_plan makes one of a file or mapping"
    )


class _Package(types.ModuleType):
    def __call__(self, *args, **options) -> Instrumented:
        return instrument(*args, **options)


sys.modules[__name__].__class__ = _Package
__signature__ = inspect.signature(instrument)
