# SPDX-License-Identifier: Apache-2.0
"""Nothing in the sources runs, unpickles or fetches what a file or a user names."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = sorted(
    file
    for folder in ("python/tpufi", "contrib", "models", "tools")
    for file in (ROOT / folder).rglob("*.py")
)
# What a file may do all the same, and why.
EXCEPTIONS = {
    "python/tpufi/data/cifar.py: module pickle": (
        "reads CIFAR-10's batches; nothing that they name is called (data_cifar_test)"
    ),
    "contrib/tensorfi/parallel.py: module pickle": (
        "between a process and its own workers, in a folder only this user can read"
    ),
    "contrib/tensorfi/parallel.py: call pickle.loads": (
        "the same: the parent's function, the worker's result"
    ),
    "python/tpufi/campaign/journal/schema.py: module marshal": (
        "makes bytes of rows for their digest; nothing is read with it"
    ),
    "python/tpufi/instrument/programs.py: call tf.keras.models.load_model": (
        "a `.keras` file that the user names; safe_mode refuses code in it"
    ),
    "python/tpufi/data/load.py: module keras.datasets": (
        "downloads only if the user asks for the data set `cifar10` by name"
    ),
}
MODULES = {
    *("pickle", "cPickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"),
    *("urllib", "http", "socket", "requests", "ftplib", "smtplib", "xmlrpc", "aiohttp"),
    *("keras.datasets", "keras.utils.get_file", "code", "codeop"),
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "tempfile.mktemp"),
    *("pickle.load", "pickle.loads", "tf.keras.utils.get_file", "torch.load"),
    *("tf.keras.models.load_model", "keras.models.load_model"),
}


def findings(source: str) -> set[str]:
    """Return what a source does that needs a reason."""
    found = set()
    tree = ast.parse(source)
    loaders = {"yaml.BaseLoader"} | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and [ast.unparse(base) for base in node.bases] == ["yaml.BaseLoader"]
    }
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {m for name in names for m in _modules(name.name)}
            case ast.ImportFrom(module=module, names=names) if module:
                found |= {m for n in names for m in _modules(f"{module}.{n.name}")}
            case ast.Call(func=function, keywords=keywords):
                name = ast.unparse(function)
                given = {k.arg: ast.unparse(k.value) for k in keywords}
                if name in CALLS:
                    found.add(f"call {name}")
                if name in ("np.load", "numpy.load", "npy.read_array"):
                    if given.get("allow_pickle") != "False":
                        found.add("call np.load without allow_pickle=False")
                if name == "yaml.compose" and given.get("Loader") not in loaders:
                    found.add("call yaml.compose without BaseLoader")
                if given.get("shell", "False") != "False":
                    found.add(f"call {name} with a shell")
    return found


def _modules(name: str) -> set[str]:
    return {f"module {m}" for m in MODULES if f"{name}.".startswith(f"{m}.")}


def test_the_sources_do_nothing_that_a_file_could_misuse():
    found = {
        f"{file.relative_to(ROOT)}: {finding}"
        for file in FILES
        for finding in findings(file.read_text())
    }
    assert len(FILES) > 200
    assert found - EXCEPTIONS.keys() == set()
    assert EXCEPTIONS.keys() - found == set(), "an exception that is not needed"


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ("import pickle", "module pickle"),
        ("from urllib.request import urlopen", "module urllib"),
        ("import urllib.request as r", "module urllib"),
        ("from keras.datasets import mnist", "module keras.datasets"),
        ("x = eval(text)", "call eval"),
        ("exec(text)", "call exec"),
        ("os.system(text)", "call os.system"),
        ("yaml.load(file)", "call yaml.load"),
        ("yaml.compose(text, Loader=yaml.Loader)", "call yaml.compose without Base"),
        ("np.load(file)", "call np.load without allow_pickle=False"),
        ("np.load(file, allow_pickle=True)", "call np.load without allow_pickle=Fal"),
        ("subprocess.run(text, shell=True)", "call subprocess.run with a shell"),
    ],
)
def test_what_could_be_misused_is_found(source, finding):
    (found,) = findings(source)
    assert found.startswith(finding)


@pytest.mark.parametrize(
    "source",
    ["np.load(file, allow_pickle=False)", "import httpx", "re.compile(text)",
     "subprocess.run([text], shell=False)", "x.eval()", "import codecs"],
)  # fmt: skip
def test_what_is_harmless_is_not_found(source):
    assert findings(source) == set()
