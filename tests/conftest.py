# SPDX-License-Identifier: Apache-2.0
"""Settings for all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
