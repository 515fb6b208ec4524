# SPDX-License-Identifier: Apache-2.0
"""Trainings of a workload as the subject of a campaign."""
