# SPDX-License-Identifier: Apache-2.0
"""Drawing faults: a pure function of a campaign's seed and an experiment's number."""
