# SPDX-License-Identifier: Apache-2.0
"""The public surface of tpufi as text: run as a program, it writes the golden list.

Public is what a package or module lists in `__all__`, with the methods and properties
of its classes (docs/stability.md).

    python -m tests.public_api
"""

import importlib
import inspect
import pathlib
import pkgutil
import re

import tpufi

GOLDEN = pathlib.Path(__file__).with_name("golden") / "public_api.txt"
COMMAND = "python -m tests.public_api"
# A default that is a function would be shown with its address, a file with its folder.
_OF_THIS_RUN = re.compile(
    r" at 0x[0-9a-f]+|" + re.escape(f"{pathlib.Path(tpufi.__file__).parent}/")
)


def surface() -> list[str]:
    """Return a line for each public name: module, name, and signature if it has one."""
    names = ["tpufi"]
    for module in pkgutil.walk_packages(tpufi.__path__, "tpufi."):
        spec = module.module_finder.find_spec(module.name)
        private = module.name.rpartition(".")[2].startswith("_")
        if not private and "\n__all__ = " in spec.loader.get_source(module.name):
            names.append(module.name)
    lines = []
    for name in names:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            lines += _lines(f"{name}.{public}", getattr(module, public))
    return sorted(lines)


def _lines(name: str, value: object) -> list[str]:
    if not callable(value):
        return [f"{name}: {type(value).__name__}"]
    if not inspect.isclass(value):
        return [f"{name}{_signature(value)}"]
    if issubclass(value, Exception):
        return [f"class {name}({value.__base__.__name__})"]
    lines = [f"class {name}{_signature(value)}"]
    for key, attribute in inspect.getmembers_static(value):
        ours = any(
            key in vars(base)
            for base in value.__mro__
            if base.__module__.startswith("tpufi.")
        )
        if key.startswith("_") or not ours:
            continue
        if isinstance(attribute, property):
            lines.append(f"{name}.{key}: property")
        elif isinstance(attribute, staticmethod | classmethod):
            kind = type(attribute).__name__
            lines.append(f"{name}.{key}{_signature(attribute.__func__)}: {kind}")
        elif inspect.isfunction(attribute):
            lines.append(f"{name}.{key}{_signature(attribute)}")
    return lines


def _signature(value: object) -> str:
    return _OF_THIS_RUN.sub("", str(inspect.signature(value)))


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line}\n" for line in surface()))
    print(GOLDEN)
