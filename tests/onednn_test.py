# SPDX-License-Identifier: Apache-2.0
"""What oneDNN's setting forbids in tests, and a kernel of oneDNN that is avoided."""

import os
import subprocess
import sys

import pytest

from tests.onednn import forbidden

AVX512, AVX2 = "fma avx2 avx512f avx512_bf16", "fma avx2"


@pytest.mark.parametrize("setting", ["SSE41", "avx2", "AVX512_CORE"])
def test_a_setting_below_the_processor_forbids(setting):
    assert setting in forbidden(setting, AVX512)


@pytest.mark.parametrize(
    ("setting", "flags"),
    [(None, AVX512), ("", AVX512), ("DEFAULT", AVX512), ("SSE41", AVX2)],
)
def test_no_setting_or_an_older_processor_forbids_nothing(setting, flags):
    assert forbidden(setting, flags) is None


# A separate process: oneDNN reads its setting once, and the kernel that TensorFlow
# would take otherwise corrupts memory.
GRADIENTS = """
import numpy as np
import tensorflow as tf
from tpufi.layers.conv2d import kernel_gradient

draw = np.random.default_rng(0).standard_normal
for stride, channels, filters, side in CASES:
    images = draw((3, side, side, channels), "f")
    seen = images[:, ::stride, ::stride]
    dy = draw((*seen.shape[:3], filters), "f")
    sizes = 1, 1, channels, filters
    for _ in range(5):
        found = kernel_gradient(tf.constant(images), sizes, dy, stride).numpy()[0, 0]
        exact = np.einsum("byxi,byxo->io", seen.astype("d"), dy.astype("d"))
        terms = np.einsum("byxi,byxo->io", abs(seen), abs(dy))
        bound = (seen[..., 0].size + 1) * np.finfo("f").eps / 2 * terms
        wrong = abs(found - exact) > bound
        assert not wrong.any(), (stride, channels, filters, side, wrong.sum())
"""


def test_the_gradient_of_a_kernel_that_skips_pixels_is_right_with_avx2():
    cases = [(s, c, f, n) for s in (2, 3) for c in range(1, 10) for f in (1, 8, 10)
             for n in (8, 9)]  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", GRADIENTS.replace("CASES", repr(cases))],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "TF_ENABLE_ONEDNN_OPTS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-1000:]
