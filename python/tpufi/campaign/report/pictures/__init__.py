# SPDX-License-Identifier: Apache-2.0
"""Pictures of the report, each on its own: numbers in, a figure of matplotlib out."""
