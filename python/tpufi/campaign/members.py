# SPDX-License-Identifier: Apache-2.0
"""Several workloads or programs in one file: a campaign for each, in its own folder."""

import pathlib
from collections.abc import Iterable

from tpufi.campaign.journal import database
from tpufi.errors import InputError
from tpufi.file_name import check_file_name
from tpufi.io import atomic_write, make_folder
from tpufi.messages import nearest_first, quote
from tpufi.untrusted import read_bounded, reading
from tpufi.user_file import short_name
from tpufi.yaml_reader import Node

_LIST = "campaigns.txt"
_LONGEST = 1 << 20
# What can be a list, and what then has an item for each of its items.
_BESIDE = {"workload": ("golden",), "program": ()}
_MAY_BE_LISTS = {"workload": ("seed",), "program": ("inputs", "seed")}


def members_of(root: Node) -> dict[str, Node]:
    """Return the content of a campaign file for each workload or program in it.

    Args:
      root: of the file, a mapping.

    Returns:
      By name of the member, which is that of its folder; a file of one workload has one
      member without a name.

    Raises:
      InputError: a list is empty, has another length than that of the workloads, or two
        members have one name.
    """
    nodes = root.value if isinstance(root.value, dict) else {}
    for key, needed in _BESIDE.items():
        if key not in nodes or not isinstance(nodes[key].value, list):
            continue
        items = nodes[key].items(f"a {key}, or a list of them")
        lists = {key: items}
        for other in (*needed, *_MAY_BE_LISTS[key]):
            if other not in nodes:
                continue
            if other in needed or isinstance(nodes[other].value, list):
                lists[other] = _as_many(nodes[other], len(items), key)
        found: dict[str, Node] = {}
        for number, item in enumerate(items):
            name = _name(item)
            if name in found:
                raise InputError(
                    f"{item.where}: {key}: {quote(name)} stands twice; its results go "
                    "into the folder of this name; write a file for each"
                )
            own = {other: each[number] for other, each in lists.items()}
            found[name] = Node(root.where, root.key, {**nodes, **own})
        return found
    return {"": root}


def member_of(members: dict[str, Node], name: str, where: str) -> Node:
    """Return the content for one member.

    Args:
      members: as `members_of` returns them.
      name: of the member; of a file with a single one it does not matter.
      where: the file, for the message.

    Raises:
      InputError: the file has several, and none of this name.
    """
    if "" in members:
        return members[""]
    if name not in members:
        raise InputError(
            f"{where}: has campaigns {nearest_first(name, members)}, and "
            f"{quote(name)} is none of them; name the folder of one of them"
        )
    return members[name]


def note_members(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Write into the folder of several campaigns which ones it has.

    Raises:
      InputError: the folder cannot be made or written.
    """
    make_folder(folder, "name one with --out that can be made")
    with atomic_write(folder / _LIST) as scratch:
        scratch.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def campaign_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders of the campaigns of one file that have begun.

    Args:
      folder: of a campaign, or of several (`note_members`); any other folder is
        returned as it is, for the message of who reads it.

    Raises:
      InputError: the list of several is damaged.
    """
    path = folder / _LIST
    if not path.exists():
        return [folder]
    with reading(path, "run the campaign again: it writes the list"):
        names = read_bounded(path, _LONGEST).decode().splitlines()
        found = [folder / check_file_name(name, "campaign") for name in names]
    return [p for p in found if (p / database.NAME).exists()] or [folder]


def _as_many(node: Node, count: int, key: str) -> list[Node]:
    items = node.items(f"a list, one item for each {key}")
    if len(items) != count:
        raise InputError(
            f"{node.where}: {node.key}: {len(items)} items for {count} in {key}; give "
            "one for each"
        )
    return items


def _name(item: Node) -> str:
    found = short_name(item.text())
    return item.placed(lambda: check_file_name(found or ".", "folder"))
