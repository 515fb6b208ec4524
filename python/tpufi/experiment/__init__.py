# SPDX-License-Identifier: Apache-2.0
"""One experiment, whatever it came from: fork, inject, follow, judge, record."""
