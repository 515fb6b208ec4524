# SPDX-License-Identifier: Apache-2.0
"""A campaign on a local Ray cluster, with workers killed on the way."""

import os
import pathlib
import signal
import threading
import time

import pytest

from tests.campaign_rows import MANIFEST, SESSION
from tests.campaign_runs import (
    FakeRunner,
    SmallRunnerOf,
    compiled_plan,
    kept_rows,
    run_small,
    small_plan,
    train_small,
)
from tpufi.campaign.engine.ray_pool import RayPool
from tpufi.campaign.engine.run import Scale, run_campaign
from tpufi.campaign.engine.unplanned import CRASHED, FAILED
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.errors import InputError

ray = pytest.importorskip("ray", reason="pip install 'tpufi[ray]' to test with Ray")
pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": f"{ROOT}:{ROOT / 'python'}"}},
    )
    yield
    ray.shutdown()


def run_on_ray(plan, folder, make, workers=2, **options):
    return run_campaign(
        WorkloadSubject(plan),
        folder,
        MANIFEST,
        SESSION,
        lambda: RayPool(make, workers, 300, 300, {"CPU": 1}),
        Watcher(),
        Scale(20, 3),
        **options,
    )


def actors() -> list[int]:
    """Processes of the cluster's actors on this machine."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::RunnerHost"):
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_a_killed_actor_changes_no_row(compiled, tmp_path):
    how = {"compiled": True, "replicas": 1} if compiled else {}
    golden = train_small(tmp_path / "golden", **how)
    plan = (compiled_plan if compiled else small_plan)(golden, 40)
    killed = []

    def kill_one_at_work() -> None:
        while not killed:
            time.sleep(0.2)
            file = tmp_path / "ray" / "journal.sqlite"
            if file.exists() and len(kept_rows(tmp_path / "ray")) >= 5:
                killed.append(actors()[0])
                os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill_one_at_work, daemon=True)
    thread.start()
    run_on_ray(plan, tmp_path / "ray", SmallRunnerOf(plan))
    thread.join(10)
    assert killed
    run_small(plan, tmp_path / "local", SmallRunnerOf(plan))
    assert kept_rows(tmp_path / "ray") == kept_rows(tmp_path / "local")


def test_experiments_at_fault_are_recorded_and_the_rest_goes_on(tmp_path):
    plan = small_plan(tmp_path, 30)
    run_on_ray(plan, tmp_path / "c", FakeRunner(crashes=(4,), fails=(9,)))
    with Reader.open(tmp_path / "c") as journal:
        rows = {row.experiment: row for row in journal.rows()}
    assert sorted(rows) == list(range(30))
    assert rows[4].outcome == CRASHED and rows[9].outcome == FAILED
    assert rows[9].error == "ValueError: no luck with 9"
    others = {row.outcome for number, row in rows.items() if number not in (4, 9)}
    assert others == {"masked", "short-term INF/NaN"}


class Refusing:
    """A runner that cannot be made."""

    def __call__(self, _):
        raise InputError("the golden run cannot be repeated here")


def test_a_set_up_that_is_refused_on_the_cluster_is_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="golden run cannot be repeated here"):
        run_on_ray(small_plan(tmp_path, 5), tmp_path / "c", Refusing())
