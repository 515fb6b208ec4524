# SPDX-License-Identifier: Apache-2.0
"""Campaign files with one mistake each: text to replace, by what, and the message."""

from tests.campaign_files import PLAN

BROKEN = {
    "unknown_key": (
        "seed: 7",
        "sed: 7",
        ":3: unknown key 'sed'; known, nearest first: seed",
    ),
    "missing_key": ("horizon: 4\n", "", ":1: no key 'horizon'; add it"),
    "repeated_key": ("seed: 7", "seed: 7\nseed: 8", ":4: key 'seed' stands twice"),
    "repeated_model": (
        "RBFLIP: 3",
        "RBFLIP: 3\n  RBFLIP: 4",
        ":7: key 'RBFLIP' stands",
    ),
    "unknown_inner_key": ("hours: 1.5", "hour: 1.5", ":17: stop: unknown key 'hour'"),
    "unknown_site_key": ("weights: sites", "weight: sites", ":11: sites: unknown key"),
    "no_workload": ("workload: resnet18", "workload: vgg", "'vgg' is not available"),
    "empty_workload": ("workload: resnet18", "workload:", ":1: workload: ''; expected"),
    "seed_is_text": ("seed: 7", "seed: seven", ":3: seed: 'seven'; expected a whole"),
    "seed_is_negative": ("seed: 7", "seed: -7", ":3: seed: '-7'; expected a whole"),
    "seed_is_large": (
        "seed: 7",
        f"seed: {1 << 64}",
        ":3: seed: 18446744073709551616; exp",
    ),
    "no_experiments": (
        "experiments: 2000",
        "experiments: 0",
        ":4: experiments: stop rule",
    ),
    "horizon_of_0": ("horizon: 4", "horizon: 0", ":15: horizon: 0; expected 1 up to"),
    "unknown_model": (
        "RBFLIP: 3",
        "RBFLOP: 3",
        ":5: faults: unknown fault model 'RBFLOP'",
    ),
    "weight_of_0": (
        "RBFLIP: 3",
        "RBFLIP: 0",
        ":6: faults.RBFLIP: '0'; expected a number",
    ),
    "weight_is_negative": (
        "RBFLIP: 3",
        "RBFLIP: -1",
        ":6: faults.RBFLIP: '-1'; expected",
    ),
    "weight_is_text": (
        "RBFLIP: 3",
        "RBFLIP: many",
        ":6: faults.RBFLIP: 'many'; expected",
    ),
    "weight_by_0": ("RBFLIP: 3", "RBFLIP: 1/0", ":6: faults.RBFLIP: '1/0'; expected"),
    "weights_twice": (
        "weights: sites",
        "weights: flip_flops",
        ":5: faults: keys and values",
    ),
    "unknown_weights": (
        "weights: sites",
        "weights: size",
        ":11: sites.weights: 'size'; exp",
    ),
    "unknown_direction": (
        "[forward, grad_in]",
        "[up]",
        ":8: sites: plan: directions: unkn",
    ),
    "unknown_list": (
        "weights: sites",
        "lists: [up]",
        ":11: sites.lists: 'up'; expected",
    ),
    "empty_list": (
        "[forward, grad_in]",
        "[]",
        ":10: sites.directions: a list; expected",
    ),
    "list_of_lists": ("[forward, grad_in]", "[[up]]", ":10: sites.directions: a list;"),
    "backwards_range": (
        "steps: 1-3",
        "steps: 3-1",
        ":13: steps: '3-1'; expected a first",
    ),
    "range_is_text": (
        "steps: 1-3",
        "steps: all",
        ":13: steps: 'all'; expected FIRST-LAST",
    ),
    "range_is_a_list": (
        "steps: 1-3",
        "steps: [1, 3]",
        ":13: steps: a list; expected FIRST",
    ),
    "many_replicas": (
        "replicas: 0-1",
        "replicas: 0-9999999",
        ":14: replicas: '0-9999999'",
    ),
    "width_of_1": (
        "width: 0.1",
        "width: 1",
        ":16: stop: stop rule: width: 1.0; expected",
    ),
    "unknown_stratum": (
        "[model, direction]",
        "[bit]",
        ":16: stop: stop rule: strata: 'bit'",
    ),
    "strata_without_width": (
        "  width: 0.1\n",
        "",
        ":18: stop.strata: a list; expected a w",
    ),
    "pilot_beyond_the_end": (
        "width: 0.1",
        "width: 0.1\n  pilot: 2000",
        ":16: stop: stop rule: pilot: 2000; expected 1 up to 1999, below experiments",
    ),
    "validation_is_a_switch": (
        "seed: 7",
        "validation: 10\nseed: 7",
        "validation: '10'; expected one of yes, no, true, false",
    ),
    "confidence": (
        "confidence: 0.99",
        "confidence: 99",
        "confidence: 99.0; expected above",
    ),
    "no_thresholds": (
        "seed: 7",
        "thresholds: x.toml\nseed: 7",
        "x.toml: cannot read thresh",
    ),
    "not_yaml": ("seed: 7", "seed: [7", "no YAML: expected ',' or ']'"),
    "tab": (
        "seed: 7",
        "\tseed: 7",
        ":3: no YAML: found character '\\t' that cannot start",
    ),
    "two_documents": (
        "seed: 7",
        "seed: 7\n---\na: 1",
        "no YAML: but found another document",
    ),
    "alias": (
        "seed: 7",
        "seed: &a 7\nx: *a",
        "an anchor or alias; write the value out",
    ),
    "tag": (
        "seed: 7",
        "seed: !!python/object:os.system 7",
        ":3: tag 'tag:yaml.org,2002:p",
    ),
    "key_is_a_list": ("seed: 7", "[seed]: 7", ":3: a key that is no text"),
    "only_a_list": (PLAN, "- seed", ":1: expected keys among workload, golden,"),
    "empty": (PLAN, "# nothing\n", "empty; docs/campaigns.md has an example"),
    "deep": ("seed: 7", f"seed: {'[' * 40}{']' * 40}", "nested too deeply"),
    "very_deep": (PLAN, "[" * 20_000, "nested too deeply"),
    "anchor": ("seed: 7", "seed: &a 7", ":3: no YAML: an anchor or alias; write"),
    "broken_expression": (
        "re:conv1/.*",
        "re:(",
        ":8: sites: plan: patterns: 're:(': is not a regular expression: missing ),",
    ),
    "endless_expression": (
        "re:conv1/.*",
        '"re:a{99999999999999999999}"',
        "is not a regular expression: the repetition number is too large; correct",
    ),
    "many_items": (
        "[forward, grad_in]",
        f"[{'forward,' * 5000}]",
        "sites.directions: 5000 items; expected at most 4096",
    ),
    "large": (PLAN, "#" * (1 << 20) + "\n", "larger than 131072 bytes"),
}
