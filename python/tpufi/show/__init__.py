# SPDX-License-Identifier: Apache-2.0
"""How one fault spreads through the faulty step, as a table and a picture."""
