# SPDX-License-Identifier: Apache-2.0
"""The other ways to inject, which benchmarks compare with, do the same to a step."""

import importlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import replacing
from tpufi.layers import Dropout
from tpufi.models.resnet18 import WORKLOAD
from tpufi.training import Program, initial_state, same_state

ROOT = pathlib.Path(__file__).resolve().parents[1]
POSITIONS = np.arange(40, 44)
WORDS = np.array([0x3F800000, 0xC0490FDB, 0, 0x42F6E979], np.uint64)


@pytest.fixture(scope="module")
def ours():
    """The program, its inputs, and the state after a step with a fault at a site."""
    program = Program(TINY, 1, 4)
    batch, keys = tiny_batch(1, 4)
    state = initial_state(TINY, 3)

    def injected(site: str):
        fault = replacing(program.table.id_of(site), 0, POSITIONS, WORDS)
        return program.step(state, batch, keys, TINY.learning_rate, fault).state

    inputs = (
        tf.constant(batch.images[0]),
        tf.constant(batch.labels[0]),
        tf.constant(keys[0]),
        tf.constant(TINY.learning_rate),
    )
    return state, inputs, injected


@pytest.mark.parametrize(
    ("module", "name", "site"),
    [
        ("mask_delta", "MaskDeltaInjector", "conv1/forward/output"),
        ("mask_delta", "MaskDeltaInjector", "conv1/grad_wt/output"),
        ("host_callback", "HostCallbackInjector", "conv1/forward/output"),
        ("host_callback", "HostCallbackInjector", "conv1/grad_wt/output"),
    ],
)
def test_a_peer_leaves_the_state_that_we_leave(module, name, site, ours, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    peer = getattr(importlib.import_module(f"peers.{module}"), name)(TINY)
    state, inputs, injected = ours
    found, _ = peer.step(state, inputs, site, POSITIONS, WORDS)
    assert same_state(found, injected(site))
    assert not same_state(found, state)


def test_the_model_in_keras_is_the_workload(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    module = importlib.import_module("peers.keras_resnet18")
    model = module.keras_resnet18("float32", 0.15)
    dropouts = [x for x in model.layers if isinstance(x, tf.keras.layers.Dropout)]
    layers = [layer for layer, _ in WORKLOAD.layers if isinstance(layer, Dropout)]
    assert [x.rate for x in dropouts] == [layer.rate for layer in layers]
    weights = initial_state(WORKLOAD, 1).parameters.values()
    shapes = sorted(tuple(v.shape) for v in model.trainable_variables)
    assert shapes == sorted(tuple(w.shape) for w in weights)
