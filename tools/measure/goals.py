# SPDX-License-Identifier: Apache-2.0
"""The figures of `bench_injection.py` that have a goal."""

AT_MOST, AT_LEAST = "at most", "at least"


def goals(result: dict) -> dict[str, dict]:
    """Return value, goal and whether it is met, by name; what was not measured is not.

    `mask_delta_over_armed` compares the extra times over a clean step; it is None where
    ours is lost in noise (at most nothing), which meets the goal.

    Args:
      result: what the benchmark found, as in its JSON.
    """
    steps, keras = result["steps"], result["keras"]
    peer = result["peers"]["mask_delta"]["extra_seconds"]["median"]
    ours = steps["armed"]["extra_seconds"]["median"]
    ways = result["experiment"]["ways"]
    # The faster of the two ways is the greater of ours over theirs.
    of_clean = [r["ratio_to_clean"]["median"] for n, r in keras.items() if n != "clean"]
    found = {
        "armed_over_clean": _median(steps["armed"], "clean", 1.03),
        "no_fault_over_clean": _median(steps["no fault"], "clean", 1.01),
        "clean_over_keras": _goal(1 / min(of_clean), AT_MOST, 1.0),
        "experiment_over_steps": _median(ways["experiment"], "steps", 1.1),
        "mask_delta_over_armed": _goal(
            peer / ours if ours > 0 else None, AT_LEAST, 100
        ),
        "bytes_per_injection": _goal(
            result["campaign"]["most_host_bytes"], AT_MOST, 4096
        ),
        "traces": _goal(result["campaign"]["traces"], AT_MOST, 2),
    }
    if "xla" in result:
        times = sum(result["xla"]["compilations"].values())
        found["compilations"] = _goal(times, AT_MOST, 2)
    return found


def _median(row: dict, base: str, goal: float) -> dict:
    return _goal(row[f"ratio_to_{base}"]["median"], AT_MOST, goal)


def _goal(value: float | None, bound: str, goal: float) -> dict:
    met = value is None or (value <= goal if bound == AT_MOST else value >= goal)
    return {"value": value, "bound": bound, "goal": goal, "met": met}
