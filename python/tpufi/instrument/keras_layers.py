# SPDX-License-Identifier: Apache-2.0
"""Layers of a Keras model, given as objects to choose sites."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from tpufi.instrument.attached import place_of
from tpufi.instrument.selection import Selector


def with_paths(given: Sequence | None, program: object) -> list | None:
    """Return selectors of sites with a path in the place of each layer object.

    Args:
      given: selectors, their fields, operation types or layers; None stays None.
      program: if it is a Keras model or one of its steps, a path begins at that model,
        so that it means one layer.
    """
    if given is None:
        return None
    place = place_of(program)
    paths = dict(_paths(place[0], "")) if place else {}

    def path(layer: object) -> object:
        if not isinstance(layer, tf.keras.Layer):
            return layer
        return paths.get(id(layer), layer.path or layer.name)

    def one(selector: object) -> object:
        if isinstance(selector, tf.keras.Layer):
            return Selector(layer=path(selector))
        if isinstance(selector, Selector):
            return dataclasses.replace(selector, layer=path(selector.layer))
        if isinstance(selector, Mapping) and "layer" in selector:
            return {**selector, "layer": path(selector["layer"])}
        return selector

    return [one(selector) for selector in given]


def _paths(layer: tf.keras.Layer, above: str) -> Iterator[tuple[int, str]]:
    here = above + layer.name
    yield id(layer), here
    for part in getattr(layer, "layers", ()):
        yield from _paths(part, f"{here}/")
