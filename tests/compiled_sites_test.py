# SPDX-License-Identifier: Apache-2.0
"""Several faults in one pass of a layer: a compiled program does what a graph does."""

import numpy as np
import pytest
import tensorflow as tf

from tests.fault_rules_test import normal_bits, random_row
from tests.modes import assert_same_bits
from tests.rows import set_row
from tpufi.descriptor import CAPACITY, OPERATIONS
from tpufi.layers import Scale
from tpufi.layers.compiled_sites import CompiledContext
from tpufi.layers.context import FaultContext
from tpufi.layers.layer import Run
from tpufi.ops import prepare_faults
from tpufi.site_table import SiteTable

SHAPE, BATCH = (5, 3), 4
LAYER = Scale("scale", 2.0)
TABLE = SiteTable(LAYER.sites(SHAPE, BATCH, "float32"))
SITES = [TABLE.id_of(f"scale/forward/{o}") for o in ("input", "output")]


def forward(compiled: bool):
    """Return the forward pass of the layer as a program."""

    @tf.function(jit_compile=compiled, autograph=False)
    def program(x, faults, words):
        context = FaultContext(TABLE, tf.constant(0, tf.int64), faults, words)
        if compiled:
            sizes = max(site.size for site in TABLE)
            prepared = prepare_faults(faults, words, list(TABLE), sizes, CAPACITY)
            context = CompiledContext.of_replica(context, prepared)
        sites = context.layer("scale")
        y, _ = sites.whole_pass(lambda own, x: LAYER.forward(own, Run({}, {}), x), x)
        return y, sites.records()[0]

    return program


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_faults_see_what_faults_before_them_made(rows):
    rng = np.random.default_rng(rows)
    graph, compiled = forward(False), forward(True)
    shape = (BATCH, *SHAPE)
    copies = ("copy", "copy_random")
    for _ in range(60):
        x = tf.constant(normal_bits(rng, shape, "float32"))
        drawn = []
        for _ in range(rows):
            operation = rng.choice(copies if rng.random() < 0.5 else OPERATIONS)
            row = random_row(rng, str(operation), x.shape.num_elements(), "float32")
            site = int(rng.choice(SITES))
            set_row(row, 0, site=site, replica=-1, operation=str(operation))
            drawn.append(row)
        words = np.zeros((rows, CAPACITY), np.uint64)
        for number, row in enumerate(drawn):
            words[number, : row.words.shape[1]] = row.words
        given = np.concatenate([row.faults for row in drawn]), words
        golden, record = graph(x, *map(tf.constant, given))
        y, noted = compiled(x, *map(tf.constant, given))
        assert_same_bits(y.numpy(), golden.numpy())
        assert np.array_equal(noted.numpy(), record.numpy())
