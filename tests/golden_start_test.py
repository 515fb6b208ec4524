# SPDX-License-Identifier: Apache-2.0
"""Golden runs that start from another run's checkpoint, and epochs of fixed length."""

import dataclasses
import shutil

import numpy as np
import pytest

from tests.tiny_workload import TINY
from tpufi import models
from tpufi.data import Batches, load_dataset
from tpufi.errors import InputError
from tpufi.experiment.fork import enter
from tpufi.golden import GoldenConfig, GoldenFolder, find_start, train_golden
from tpufi.training import state_digest

# The data are 32x32; nothing else of the tiny workload depends on the size.
SMALL = dataclasses.replace(TINY, input_shape=(32, 32, 3))
CONFIG = GoldenConfig("tiny", "synthetic:64", replicas=2, per_replica=4)
STEPS, FROM = 6, 4


@pytest.fixture(scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.WORKLOADS, "tiny", SMALL)
        yield


@pytest.fixture(scope="module")
def session(tiny):
    return CONFIG.session()


@pytest.fixture(scope="module")
def straight(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("straight")
    train_golden(CONFIG, path, STEPS, FROM, session)
    return path


def states(path) -> list[str]:
    return [line["state"] for line in GoldenFolder(path).read_lines("steps.jsonl")]


def started(straight, **changes) -> GoldenConfig:
    return dataclasses.replace(CONFIG, start=find_start(straight, FROM), **changes)


def test_a_run_started_from_its_own_checkpoint_is_the_straight_run(
    session, straight, tmp_path
):
    train_golden(started(straight), tmp_path, STEPS, 9, session, straight)
    assert states(tmp_path) == states(straight)[FROM:]
    assert list(GoldenFolder(tmp_path).curve()) == [4, 5]


def test_the_manifest_tells_where_a_run_started(session, straight, tmp_path):
    train_golden(started(straight), tmp_path, STEPS, 9, session, straight)
    config, manifest = GoldenFolder(tmp_path).read_manifest()
    assert config == started(straight) and config.start.run == CONFIG
    start = manifest["config"]["start"]
    assert start["step"] == start["source_step"] == FROM
    assert start["state"] == start["source_state"] == states(straight)[FROM - 1]


def test_a_started_run_that_was_killed_goes_on_without_its_source(
    session, straight, tmp_path
):
    source = tmp_path / "source"
    shutil.copytree(straight, source)
    config = started(straight)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_golden(config, whole, STEPS, 1, session, source)
    train_golden(config, killed, FROM + 1, 1, session, source)
    shutil.rmtree(source)
    with open(killed / "steps.jsonl", "a") as file:
        file.write('{"number": 5, "lo')
    train_golden(config, killed, STEPS, 1, session)
    assert states(killed) == states(whole)


def test_a_run_killed_before_its_state_was_copied_copies_it_again(
    session, straight, tmp_path
):
    config = started(straight)
    train_golden(config, tmp_path, STEPS, 9, session, straight)
    expected = states(tmp_path)
    for file in tmp_path.iterdir():
        if file.name != "manifest.json":
            file.unlink()
    with pytest.raises(InputError, match="is not there yet; name its golden run"):
        train_golden(config, tmp_path, STEPS, 9, session)
    train_golden(config, tmp_path, STEPS, 9, session, straight)
    assert states(tmp_path) == expected


def test_another_batch_and_rate_continue_from_the_state_and_its_step_number(
    straight, tmp_path
):
    config = started(straight, replicas=1, per_replica=8, learning_rate=0.01)
    session = train_golden(config, tmp_path, STEPS, 9, source=straight)
    folder = GoldenFolder(tmp_path)
    final = folder.load(session.program.workload, STEPS)
    assert int(final.updates) == STEPS
    walked = enter(folder, session, FROM)
    for number in range(FROM, STEPS):
        walked = session.step(walked, number).state
    assert states(tmp_path)[-1] != states(straight)[-1]
    np.testing.assert_array_equal(
        walked.parameters["conv1/kernel"], final.parameters["conv1/kernel"]
    )


def test_a_state_can_count_as_one_of_a_later_step(session, straight, tmp_path):
    config = dataclasses.replace(CONFIG, start=find_start(straight, FROM, 1000))
    train_golden(config, tmp_path, 1002, 9, session, straight)
    folder = GoldenFolder(tmp_path)
    assert list(folder.curve()) == [1000, 1001]
    first = folder.load(SMALL, 1000)
    source = GoldenFolder(straight).load(SMALL, FROM)
    assert int(first.updates) == 1000 and int(source.updates) == FROM
    for group in ("parameters", "slots", "statistics"):
        for name, tensor in getattr(source, group).items():
            np.testing.assert_array_equal(tensor, getattr(first, group)[name])
    # The rate and Adam's bias correction are those of step 1000.
    state = session.step(first, 1000).state
    assert state_digest(state) == states(tmp_path)[0] != states(straight)[FROM]


def test_another_seed_gives_another_run_from_the_same_state(straight, tmp_path):
    config = started(straight, seed=124)
    train_golden(config, tmp_path, STEPS, 9, source=straight)
    assert states(tmp_path)[0] != states(straight)[FROM]


def test_a_start_without_checkpoint_names_the_known_ones(straight):
    with pytest.raises(InputError, match="no checkpoint after 3 steps; known: 4, 6"):
        find_start(straight, 3)


def test_a_source_that_changed_is_refused(session, straight, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(straight, source)
    config = dataclasses.replace(CONFIG, start=find_start(source, FROM))
    shutil.copy(source / "state_00000006.npz", source / "state_00000004.npz")
    for refused in (
        lambda: train_golden(config, tmp_path / "new", STEPS, 9, session, source),
        lambda: find_start(source, FROM),
    ):
        with pytest.raises(InputError, match="00004.npz: damaged .* curve"):
            refused()


def test_a_start_of_another_workload_is_refused(straight):
    with pytest.raises(InputError, match="of resnet18 cannot start from a run of tiny"):
        started(straight, workload="resnet18")


def test_a_step_before_the_start_cannot_be_entered(session, straight, tmp_path):
    train_golden(started(straight), tmp_path, STEPS, 9, session, straight)
    folder = GoldenFolder(tmp_path)
    with pytest.raises(InputError, match="starts at step 4, after step 2"):
        enter(folder, session, 2)


@pytest.mark.parametrize("steps", [1, 3, 8, 21])
def test_fixed_epochs_take_whole_passes_in_the_order_of_batches(steps):
    data = load_dataset("synthetic:64")
    usual, fixed = Batches(data, 7, 2, 4), Batches(data, 7, 2, 4, steps=steps)
    taken = [fixed.train_indices(5, i) for i in range(steps)]
    for i in range(min(steps, usual.steps)):
        np.testing.assert_array_equal(taken[i], usual.train_indices(5, i))
    flat = np.concatenate(taken).ravel()
    for begin in range(0, len(flat) - 63, 64):
        assert sorted(flat[begin : begin + 64]) == list(range(64))


def test_fixed_epochs_refuse_a_step_beyond_their_end():
    fixed = Batches(load_dataset("synthetic:64"), 7, 2, 4, steps=3)
    with pytest.raises(InputError, match="expected 0 to 2"):
        fixed.train(0, 3)


def test_an_epoch_without_steps_is_refused():
    with pytest.raises(InputError, match="steps_per_epoch 0 is below 1"):
        GoldenConfig("resnet18", "synthetic", steps_per_epoch=0)
