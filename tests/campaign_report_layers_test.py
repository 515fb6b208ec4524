# SPDX-License-Identifier: Apache-2.0
"""The map of layers and fault models, of networks with more layers than fit on it."""

import collections
import dataclasses

import pytest

from tests.campaign_report_files import PLAN, document, frame, make_row, write_campaign
from tpufi.campaign.report.sections.heat_map import _MOST_ROWS
from tpufi.models import workload
from tpufi.outcomes.outcome import CLASSES

LAYERS = 150


def rows_of(layers: list[str]):
    """Two to four experiments in each layer; the later ones have more."""
    number = 0
    for place, layer in enumerate(layers):
        for _ in range(2 + 2 * place // len(layers)):
            row = make_row(number)
            fault = dataclasses.replace(row.fault, layer=layer)
            yield dataclasses.replace(row, fault=fault)
            number += 1


@pytest.fixture(scope="module")
def of_unknown_network(tmp_path_factory):
    rows = list(rows_of([f"layer_{n:03}" for n in range(LAYERS)]))
    folder = tmp_path_factory.mktemp("unknown")
    plan = {**PLAN, "workload": "somebody's"}
    return rows, document(write_campaign(folder, rows, plan))


def test_of_an_unknown_network_the_layers_with_most_experiments_are_kept(
    of_unknown_network,
):
    rows, report = of_unknown_network
    found = frame(report, "layer_model")
    # Experiments whose worker ended have no outcome class and are in no rate.
    counts = collections.Counter(r.fault.layer for r in rows if r.outcome in CLASSES)
    kept = set(found.iloc[:, 0])
    assert len(kept) == _MOST_ROWS
    fewest = min(counts[layer] for layer in kept)
    assert fewest >= max(n for layer, n in counts.items() if layer not in kept)
    told = found.groupby(found.columns[0])["experiments"].sum()
    assert told.to_dict() == {layer: counts[layer] for layer in kept}


def test_layers_that_the_network_does_not_have_are_in_no_band(tmp_path):
    report = document(write_campaign(tmp_path, list(rows_of(["of another"] * 4))))
    keys = [section.key for section in report.sections]
    assert "by_layer" in keys and "by_depth" not in keys
    assert list(frame(report, "by_layer").layer) == ["of another"]


def test_of_a_known_network_layers_are_put_in_bands_of_their_depth(tmp_path):
    table = workload("densenet").sites(1)
    layers = list(dict.fromkeys(s.layer for s in table if s.direction == "forward"))
    assert len(layers) > _MOST_ROWS
    rows = list(rows_of(layers))
    plan = {**PLAN, "workload": "densenet"}
    report = document(write_campaign(tmp_path, rows, plan))
    found = frame(report, "layer_model")
    assert len(set(found.iloc[:, 0])) <= 40
    assert found["experiments"].sum() == sum(row.outcome in CLASSES for row in rows)
    (section,) = [s for s in report.sections if s.key == "layer_model"]
    assert f"{len(layers)} layers in bands of their depth" in str(section.blocks)
