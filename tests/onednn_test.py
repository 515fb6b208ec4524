# SPDX-License-Identifier: Apache-2.0
"""Tests are skipped only where oneDNN's setting makes TensorFlow abort."""

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
