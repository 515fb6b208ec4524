# SPDX-License-Identifier: Apache-2.0
"""Graph mode does what it did when tests/data/frozen was written, bit for bit."""

import pathlib

import pytest

from tests import frozen_data
from tpufi.faults.catalogue import NAMES

RESULTS = ("tensor", "golden", "faulty", "struck", "record")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> pathlib.Path:
    """The same files, of today."""
    folder = tmp_path_factory.mktemp("made")
    frozen_data.make(folder)
    return folder


def frozen(part: str) -> dict:
    return frozen_data.read(frozen_data.FOLDER, part)


def without(case: dict, names: tuple[str, ...]) -> dict:
    return {name: value for name, value in case.items() if name not in names}


def assert_same(found: list[dict], expected: list[dict]) -> None:
    """Compare case by case, so that the first that differs is shown alone."""
    assert len(found) == len(expected)
    for now, then in zip(found, expected, strict=True):
        assert now == then


def assert_trains_as_frozen(folder: pathlib.Path, part: str) -> None:
    """Compare a part whose numbers are rounded by the kernels of the processor."""
    now, then = frozen_data.read(folder, part), frozen(part)
    if now["golden"] != then["golden"]:
        if now["processor"] != then["processor"]:
            pytest.skip(
                f"{part}: TensorFlow's own operations round differently on this "
                "processor than where the data were frozen, and so does the step "
                "without a fault; its bits cannot be compared here"
            )
        pytest.fail(
            f"{part}: the step without a fault has other bits, and TensorFlow's own "
            "operations have the frozen ones: tpufi has changed, not the processor"
        )
    assert_same(now["cases"], then["cases"])


def test_all_fault_models_are_among_the_frozen_faults():
    faults = frozen("faults")
    families = {case["model"].partition(":")[0] for case in faults["cases"]}
    assert len(faults["cases"]) == 200
    assert families == set(faults["models"]) and len(families) == 46


def test_the_frozen_files_do_not_say_how_a_fault_is_written_down():
    for part in frozen_data.PARTS:
        text = (frozen_data.FOLDER / f"{part}.json").read_text()
        assert not any(f'"{name}"' in text for name in ("rule", "keep", "words"))


def test_every_frozen_fault_model_is_in_the_catalogue():
    assert set(frozen("faults")["models"]) <= set(NAMES)


def test_the_sampler_draws_the_frozen_faults(made):
    found, expected = frozen_data.read(made, "faults"), frozen("faults")
    assert_same(
        [without(case, RESULTS) for case in found["cases"]],
        [without(case, RESULTS) for case in expected["cases"]],
    )


def test_the_op_gives_the_frozen_bits_on_every_processor(made):
    assert_same(frozen_data.read(made, "faults")["cases"], frozen("faults")["cases"])


def test_faulty_steps_have_the_frozen_states_losses_and_records(made):
    assert_trains_as_frozen(made, "steps")


def test_replays_write_the_frozen_records(made):
    assert_trains_as_frozen(made, "replays")


def test_a_campaign_has_the_frozen_rows(made):
    assert_trains_as_frozen(made, "campaign")
