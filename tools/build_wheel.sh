#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds dist/tpufi-*.whl from the built tree, the compiled libraries inside. Its tag says
# linux_x86_64 and the Python version: it serves this TensorFlow minor and machines with
# this glibc or a newer one. `./dev wheel` builds the tree first and calls this.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

cp -rL bazel-bin/tpufi_tree "$stage/python"
chmod -R u+w "$stage"
find "$stage" -name __pycache__ -prune -exec rm -r {} +
cp pyproject.toml README.md LICENSE "$stage"

# Without this setuptools would call the wheel pure Python and good for every machine.
cat >"$stage/setup.py" <<'END'
from setuptools import Distribution, setup

Distribution.has_ext_modules = lambda self: True
setup()
END

mkdir -p dist
.venv/bin/python -m pip wheel -q --disable-pip-version-check --no-deps \
  --no-build-isolation --wheel-dir dist "$stage"
ls -l dist/*.whl
