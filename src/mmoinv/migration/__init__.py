"""Moving over from an old way of saving inventories, and back: two sides, modes, evidence.

Runs inside a world server. Knows no old tables, no database of a realm and no links.
"""
