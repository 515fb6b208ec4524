# SPDX-License-Identifier: Apache-2.0
"""Training steps compiled for a TPU on a machine without one, and what they cost."""
