# SPDX-License-Identifier: Apache-2.0
"""Campaign files: what they mean, and how each mistake is told."""

from fractions import Fraction

import pytest
import tensorflow as tf

from tests.campaign_broken_plans import BROKEN
from tests.campaign_files import PLAN, write_golden, write_plan
from tpufi.campaign.journal.manifest import golden_digest, plan_text
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan import strata
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.errors import InputError
from tpufi.faults.catalogue import FAULT_MODELS, NAMES, any_fault_model
from tpufi.faults.flip_flop_shares import flip_flop_weights

SHORT = "\n".join(
    line
    for line in PLAN.splitlines()
    if line.split(":")[0] not in ("faults", "sites", "stop") and line[0] != " "
)


def read(tmp_path, text):
    file = tmp_path / "campaign.yaml"
    file.write_text(text)
    return read_plan(file)


def test_every_key_of_the_file_reaches_the_plan(tmp_path):
    plan = read_plan(write_plan(tmp_path))
    sampling = plan.sampling
    assert plan.workload == "resnet18" and plan.golden == tmp_path / "golden"
    assert (plan.seed, plan.horizon) == (7, 4)
    assert [(m.name, w) for m, w in sampling.models] == [
        ("RBFLIP", 3),
        ("INPUT_16", Fraction(1, 2)),
    ]
    assert sampling.patterns == ("basicblock_2_*", "re:conv1/.*")
    assert sampling.directions == ("forward", "grad_in")
    assert sampling.site_weights == "sites"
    assert (sampling.epochs, sampling.steps) == ((0, 1), (1, 3))
    assert (sampling.replicas, sampling.durations) == ((0, 1), (1, 1))
    assert plan.stop == StopRule(2000, 1.5, 0.1, ("model", "direction"), 0.99)


def test_without_optional_keys_the_published_models_reach_all_sites(tmp_path):
    plan = read(tmp_path, SHORT)
    assert [m.name for m, _ in plan.sampling.models] == list(FAULT_MODELS)
    assert plan.sampling.patterns == plan.sampling.stages == ()
    assert plan.stop == StopRule(2000)


def test_lists_and_flip_flop_weights_are_those_of_the_sampler(tmp_path):
    text = (
        SHORT
        + """
sites: {lists: [forward, backward], weights: flip_flops}
faults: [INPUT, WT]
durations: 2-5
"""
    )
    sampling = read(tmp_path, text).sampling
    assert sampling.stages == ("fwrd_inject", "bkwd_inject")
    models = [any_fault_model(name) for name in ("INPUT", "WT")]
    assert sampling.models == flip_flop_weights(models)
    assert (sampling.site_weights, sampling.durations) == ("macs", (2, 5))


def test_groups_of_fault_models_share_one_weight(tmp_path):
    plan = read(tmp_path, SHORT + "\nfaults: {all: 2}")
    assert {m.name.partition(":")[0] for m, _ in plan.sampling.models} == set(NAMES)
    assert sum(weight for _, weight in plan.sampling.models) == 2
    one = read(tmp_path, SHORT + "\nfaults: [published, FLIP]")
    assert sum(weight for _, weight in one.sampling.models) == 2


MEASURED = """\
title = "made up"
source = "nowhere"
caveats = ["all"]
[[class]]
name = "nothing"
weight = 75
value = "zero"
[[class]]
name = "carry"
weight = 25
value = "carry"
"""
WITH_TABLES = PLAN.replace("INPUT_16: 1/2", "V_ABFT: 1/2\n  tables/beam.toml: 1")


def test_error_models_stand_where_fault_models_do(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "beam.toml").write_text(MEASURED)
    plan = read_plan(write_plan(tmp_path, WITH_TABLES))
    names = [(m.name, w) for m, w in plan.sampling.models]
    assert names == [("RBFLIP", 3), ("V_ABFT", Fraction(1, 2)), ("beam.toml", 1)]
    sampler = plan.sampler(4)
    faults = [sampler.draw(7, n) for n in range(200)]
    operations = {f.operation for f in faults if f.model == "beam.toml"}
    assert operations == {"zero", "carry"}
    # The journal keeps the file: a campaign goes on, and replays, without it.
    (tmp_path / "tables" / "beam.toml").unlink()
    subject = WorkloadSubject(plan)
    session = subject.session(["campaign.py"], "0")
    with Writer(tmp_path / "run", subject.manifest(), session) as journal:
        found, _ = recorded_plan(journal)
    assert found.identity() == plan.identity()
    assert [found.sampler(4).draw(7, n) for n in range(200)] == faults


def test_another_table_of_the_same_name_is_another_campaign(tmp_path):
    (tmp_path / "tables").mkdir()
    texts = []
    for weight in ("75", "74"):
        text = MEASURED.replace("75", weight).replace("25", str(100 - int(weight)))
        (tmp_path / "tables" / "beam.toml").write_text(text)
        plan = read_plan(write_plan(tmp_path, WITH_TABLES))
        texts.append(plan_text(plan.identity()))
    assert texts[0] != texts[1]


def test_a_broken_table_is_told_with_its_place_in_the_plan(tmp_path):
    (tmp_path / "tables").mkdir()
    write_golden(tmp_path / "golden")
    message = refused(tmp_path, WITH_TABLES)
    assert "campaign.yaml:5: faults: " in message and "No such file" in message
    (tmp_path / "tables" / "beam.toml").write_text(MEASURED.replace("75", "74"))
    message = refused(tmp_path, WITH_TABLES)
    assert "beam.toml: the weights of 2 classes add up to 99; expected" in message


def test_an_experiment_is_a_pure_function_of_seed_and_number(tmp_path):
    plan = read_plan(write_plan(tmp_path))
    first, again = plan.sampler(4), read_plan(tmp_path / "campaign.yaml").sampler(4)
    faults = [first.draw(plan.seed, number) for number in range(50)]
    backwards = [again.draw(plan.seed, number) for number in reversed(range(50))]
    assert faults == backwards[::-1]
    assert {fault.model for fault in faults} == {"RBFLIP", "INPUT_16"}
    assert {(fault.epoch, fault.step) for fault in faults} <= {
        (epoch, step) for epoch in (0, 1) for step in (1, 2, 3)
    }


def test_strata_have_the_probabilities_of_the_draws(tmp_path):
    sampler = read_plan(write_plan(tmp_path)).sampler(4)
    parts = strata(sampler, ("model",))
    assert parts == {("RBFLIP",): Fraction(6, 7), ("INPUT_16",): Fraction(1, 7)}
    assert strata(sampler, ()) == {(): 1}
    by_both = strata(sampler, ("model", "direction"))
    assert len(by_both) == 4 and sum(by_both.values()) == 1


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("experiments: 2000", "experiments: 9000", True),
        ("hours: 1.5", "hours: 7", True),
        ("RBFLIP: 3", "RBFLIP: 3.0", True),
        ("replicas: 0-1", "# a comment\nreplicas: 0-1", True),
        ("seed: 7", "seed: 8", False),
        ("RBFLIP: 3", "RBFLIP: 4", False),
        ("horizon: 4", "horizon: 3", False),
        ("weights: sites", "weights: macs", False),
    ],
)
def test_a_journal_knows_a_plan_by_what_its_rows_depend_on(old, new, is_same, tmp_path):
    first = plan_text(read_plan(write_plan(tmp_path)).identity())
    second = plan_text(read(tmp_path, PLAN.replace(old, new)).identity())
    assert (first == second) is is_same


def test_a_golden_run_is_known_by_its_content(tmp_path):
    for name, steps in (("a", 3), ("b", 3), ("c", 4)):
        write_golden(tmp_path / name, steps)
    first, second, third = (golden_digest([tmp_path / name]) for name in "abc")
    assert first == second != third
    (tmp_path / "a" / "epochs.jsonl").unlink()
    with pytest.raises(InputError, match="epochs.jsonl: cannot read: No such file"):
        golden_digest([tmp_path / "a"])


def test_a_manifest_tells_plan_data_and_versions(tmp_path):
    plan = read_plan(write_plan(tmp_path))
    manifest = WorkloadSubject(plan).manifest()
    assert manifest.plan == plan_text(plan.identity())
    assert manifest.golden == golden_digest([tmp_path / "golden"])
    assert (manifest.data, manifest.deterministic) == ("d", "yes")
    assert manifest.tensorflow == tf.__version__ and len(manifest.library) == 64
    assert WorkloadSubject(plan, verify=False).manifest().deterministic == "no"
    (tmp_path / "golden" / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="damaged manifest"):
        WorkloadSubject(plan).manifest()


def refused(tmp_path, text) -> str:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    message = str(error.value)
    assert "\n" not in message and "campaign.yaml" in message
    return message


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_with_its_place(name, tmp_path):
    old, new, message = BROKEN[name]
    assert PLAN.count(old) == 1
    assert message in refused(tmp_path, PLAN.replace(old, new))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"seed: \x00"])
def test_a_file_that_is_missing_or_no_text_is_told(content, tmp_path):
    file = tmp_path / "campaign.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match="campaign.yaml: cannot read it: ") as error:
        read_plan(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workload": "effnet"}, "golden run of effnet, the plan says resnet18"),
        ({"replicas": 1}, "with 1 replicas, the plan injects into replica 1; expected"),
        (
            {"steps": 11},
            "has 11 steps, the last experiment needs 12 (injected at 8, foll",
        ),
    ],
)
def test_a_golden_run_that_cannot_serve_is_told(changes, message, tmp_path):
    plan = read_plan(write_plan(tmp_path))
    assert check_golden(plan).per_replica == 4
    write_golden(tmp_path / "golden", **changes)
    with pytest.raises(InputError) as error:
        check_golden(plan)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_steps_beyond_an_epoch_of_the_golden_run_are_told(tmp_path):
    plan = read_plan(write_plan(tmp_path, PLAN.replace("steps: 1-3", "steps: 1-5")))
    with pytest.raises(
        InputError, match="5 steps an epoch, the plan injects into step 5"
    ):
        check_golden(plan)


@pytest.mark.parametrize(
    ("done", "seconds", "widest", "reason"),
    [
        (99, 3599, 0.11, None),
        (100, 0, 1, "all 100 experiments are done"),
        (5, 3600, 1, "1 hours have passed"),
        (5, 0, 0.1, "the widest interval is 0.1, 0.1 was wanted"),
    ],
)
def test_a_campaign_ends_at_what_is_reached_first(done, seconds, widest, reason):
    rule = StopRule(100, hours=1, width=0.1)
    assert rule.reached(done, seconds, widest) == reason
    assert StopRule(100).reached(99, 1e9, 0) is None
