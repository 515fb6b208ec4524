# SPDX-License-Identifier: Apache-2.0
"""The reader of YAML: types and bounds of values, and the place in each message."""

import os
import time
from fractions import Fraction

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tpufi.errors import InputError
from tpufi.yaml_reader import Node, read_yaml

PAGE = "docs/page.md"
NAMES = st.text("abcxyz_", min_size=1, max_size=5)
TREES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=9,
)


def read(tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    return read_yaml(file, PAGE)


def plain(node: Node):
    """Return the values of a tree without their places."""
    match node.value:
        case dict() as entries:
            return {key: (inner.key, plain(inner)) for key, inner in entries.items()}
        case list() as items:
            return [plain(item) for item in items]
        case text:
            return text.lower()


@settings(deadline=None, max_examples=200)
@given(given_tree=st.dictionaries(NAMES, TREES, min_size=1, max_size=4))
def test_a_mapping_reads_as_its_file_does(given_tree, tmp_path_factory):
    def texts(value):
        if isinstance(value, dict):
            return {key: texts(inner) for key, inner in value.items()}
        return [texts(v) for v in value] if isinstance(value, list) else str(value)

    text = yaml.safe_dump(texts(given_tree))
    from_file = read(tmp_path_factory.getbasetemp(), text)
    assert plain(from_file) == plain(read_yaml(given_tree, PAGE))


@pytest.mark.parametrize("text", ["yes", "true", "Yes", "TRUE"])
def test_a_switch_is_on(text, tmp_path):
    assert read(tmp_path, f"a: {text}").read({"a": Node.switch}) == {"a": True}


@pytest.mark.parametrize("text", ["no", "false", "No", "FALSE"])
def test_a_switch_is_off(text, tmp_path):
    assert read(tmp_path, f"a: {text}").read({"a": Node.switch}) == {"a": False}


def test_numbers_are_read_by_their_digits(tmp_path):
    root = read(tmp_path, "a: 010\nb: 1/3\nc: 2.5e-3\nd: [1, 2]")
    types = {"a": Node.whole, "b": Node.number, "c": Node.number, "d": Node.texts}
    values = root.read(types, required=("a",))
    assert values == {
        "a": 10,
        "b": Fraction(1, 3),
        "c": Fraction("0.0025"),
        "d": ("1", "2"),
    }


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("on", Node.switch, "'on'; expected one of yes, no, true, false"),
        ("65", lambda n: n.whole(1, 64), "'65'; expected a whole number from 1 to 64,"),
        ("0", lambda n: n.whole(1, 64), "'0'; expected a whole number from 1 to 64,"),
        ("1_0", Node.whole, "'1_0'; expected a whole number of at least 0, in digits"),
        ("0", lambda n: n.number(above_0=True), "'0'; expected a number above 0, e.g."),
        ("nan", Node.number, "'nan'; expected a number of at least 0, e.g."),
        ("bac", lambda n: n.one_of(("x", "abc")), "'bac'; expected one of abc, x"),
        ("[]", Node.texts, "a list; expected a list, not empty; remove the key"),
        ("", Node.text, "''; expected text"),
        ("{b: 1, c: 2}", lambda n: n.read({"b": Node.text}), "unknown key 'c'; known"),
        (
            "{b: 1}",
            lambda n: n.read({"b": Node.text}, ["b", "c"]),
            "no key 'c'; add it",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_place(value, kind, message, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"# a comment\na: {value}").read({"a": kind})
    assert str(caught.value).startswith(f"{tmp_path}/x.yaml:2: a: {message}")


@pytest.mark.parametrize("tag", ["!!int", "!!set", "!own"])
def test_a_tag_is_refused_on_keys_and_values(tag, tmp_path):
    for text in (f"a: {tag} 1", f"{tag} a: 1"):
        with pytest.raises(InputError, match=":1: tag '.*'; remove it"):
            read(tmp_path, text)


def test_an_error_of_what_is_made_gets_the_place_of_its_key(tmp_path):
    root = read(tmp_path, "a: 1\nb: 2")

    def refuse(message):
        raise InputError(message)

    for message, where in (("b: 2; expected 3", 2), ("c: missing", 1)):
        with pytest.raises(InputError) as caught:
            root.placed(lambda message=message: refuse(message))
        assert str(caught.value) == f"{tmp_path}/x.yaml:{where}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 7", ":1: no YAML: an anchor or alias; write the value out where"),
        ("a: 1\nb: [&x c]", ":2: no YAML: an anchor or alias"),
        ("&x a: 1", ":1: no YAML: an anchor or alias"),
        ("a: " + "[" * 50_000, "nested too deeply"),
        ("a: " + "x" * (1 << 17), "x.yaml: cannot read it: it is larger than 131072"),
    ],
)
def test_what_no_file_has_is_refused_before_it_is_taken_apart(text, message, tmp_path):
    begun = time.monotonic()
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert time.monotonic() - begun < 5 and len(str(caught.value)) < 300


def test_a_list_has_a_bound(tmp_path):
    root = read(tmp_path, f"a: [{'b,' * 4097}]")
    with pytest.raises(InputError, match="a: 4097 items; expected at most 4096"):
        root.read({"a": Node.texts})


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(InputError, match="it is not a regular file"):
        read_yaml(tmp_path / "x.yaml", PAGE)
