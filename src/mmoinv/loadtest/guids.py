"""The guids of the load test's characters. Knows nothing else."""

GUID_BASE = 0x4C54_0000_0000_0000
"""The load test's characters have the guids from here on: "LT" in the upper bytes."""
GUID_LAST = GUID_BASE + 0xFFFF_FFFF
