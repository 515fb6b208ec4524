# SPDX-License-Identifier: Apache-2.0
"""Any configuration either injects as it says or is refused in one line."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tpufi
from tests.instrument_checks import arrays
from tpufi.contrib.tensorfi.config import KEYS, MODES, operation_config, read_config
from tpufi.contrib.tensorfi.fault_types import FAULT_TYPES
from tpufi.contrib.tensorfi.layer_plan import KEYS as LAYER_KEYS
from tpufi.contrib.tensorfi.layer_plan import layer_config
from tpufi.contrib.tensorfi.plan import OperationPlan
from tpufi.element import to_words
from tpufi.errors import InputError
from tpufi.instrument.planned import PlannedRuns

X = tf.constant([[1.0, -2.0], [0.5, 4.0]])
NAMES = ("ALL", "ADD", "MATMUL", "RELU", "SUM", "Exp", "CONV2D", "add", "", "SWITCH")
WILD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.lists(st.text(max_size=4), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
PAIRS = st.lists(
    st.one_of(
        st.builds("{} = {}".format, st.sampled_from(NAMES),
                  st.sampled_from(("0", "1", "0.5", "1.5", "nan", "2", "", "1e-3"))),
        st.text(max_size=6),
    ),
    max_size=3,
)  # fmt: skip
GOOD = {
    "ScalarFaultType": st.sampled_from(FAULT_TYPES),
    "TensorFaultType": st.sampled_from(FAULT_TYPES),
    "Ops": st.lists(
        st.builds("{} = {}".format, st.sampled_from(NAMES[:5]),
                  st.sampled_from(("0", "1", "0.5"))),
        min_size=1, max_size=3, unique_by=lambda pair: pair.split()[0],
    ),
    "Seed": st.integers(0, 99),
    "SkipCount": st.integers(0, 3),
    "InjectMode": st.sampled_from(MODES),
    "BitCount": st.integers(1, 64),
    "legacy": st.booleans(),
    "pin_instance": st.booleans(),
    "weight": st.sampled_from(("executions", "elements")),
}  # fmt: skip
NEEDED = {key: GOOD[key] for key in ("Ops", "InjectMode", "TensorFaultType")}
OPTIONAL = {key: value for key, value in GOOD.items() if key not in NEEDED}
CONFIGURATIONS = st.one_of(
    st.fixed_dictionaries(NEEDED, optional=OPTIONAL),
    st.fixed_dictionaries({**NEEDED, "Ops": PAIRS}, optional=OPTIONAL),
    st.fixed_dictionaries(NEEDED, optional={**OPTIONAL, "Instances": PAIRS}),
    st.dictionaries(st.sampled_from([*KEYS, "Colour"]), WILD, max_size=6),
)
LAYERS = st.fixed_dictionaries(
    {},
    optional={
        "Target": st.one_of(st.sampled_from(("layer_states", "layer_outputs")), WILD),
        "Mode": st.one_of(st.sampled_from(("single", "multiple")), WILD),
        "Type": st.one_of(st.sampled_from(("zeros", "random", "bitflips")), WILD),
        "Amount": st.one_of(st.integers(-1, 101), WILD),
        "Bit": st.one_of(st.just("N"), st.integers(-1, 70), WILD),
        "Seed": WILD,
        "Colour": WILD,
    },
)


def program(x):
    y = tf.nn.relu(x @ x + 1.0)
    return y, tf.reduce_sum(y)


@pytest.fixture(scope="module")
def armed():
    """Programs by their armed sites: a trace for each set, not for each example."""
    made = {}

    every = tpufi.instrument(program, sites=[{"op": "*"}])
    sites = every.armed(X).sites

    def get(plan: OperationPlan):
        chosen = plan.choose(sites)
        if chosen not in made:
            selectors = [{"id": site} for site in sorted(chosen)]
            made[chosen] = tpufi.instrument(program, sites=selectors)
        return made[chosen]

    return get


@settings(max_examples=1000, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(given_config=CONFIGURATIONS)
def test_a_configuration_injects_as_it_says_or_is_refused(given_config, armed):
    try:
        plan = OperationPlan(operation_config(read_config(given_config)))
        fi = armed(plan)
        faults = PlannedRuns(plan).faults(fi, 0, (X,), {})
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
        return
    golden = fi.run((), X)
    run = fi.run(faults, X)
    assert all(injection.times == 1 for injection in run.injections)
    changes = [s for s in run.injections if (s.golden != s.faulty).any()]
    # Nothing is injected that the log does not tell.
    if not changes:
        for a, b in zip(arrays(golden.outputs), arrays(run.outputs), strict=True):
            np.testing.assert_array_equal(to_words(a), to_words(b))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(given_config=LAYERS)
def test_a_layer_configuration_parses_or_is_refused(given_config):
    try:
        config = layer_config(read_config(given_config))
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
        return
    assert set(given_config) <= set(LAYER_KEYS)
    assert config.target in ("layer_states", "layer_outputs")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=st.one_of(st.text(), st.binary()))
def test_any_file_parses_or_is_refused(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(
        text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    )
    with pytest.raises(InputError) as caught:
        operation_config(read_config(path))
    assert "\n" not in str(caught.value)
