# SPDX-License-Identifier: Apache-2.0
"""How one fault spreads through the step it strikes, as a table and a picture."""
