"""``python -m mmoinv.torture.realm_process CLOCK ...``: ``mmoinv realm ...`` on a clock that jumps.

Knows the command by its name alone.
"""

import runpy
import sys
from pathlib import Path

from mmoinv.torture.clock import follow_clock


def main() -> None:
    """Run ``mmoinv realm`` with the arguments behind the clock's file."""
    _, clock, *arguments = sys.argv
    follow_clock(Path(clock))
    sys.argv = ["mmoinv", "realm", *arguments]
    runpy.run_module("mmoinv", run_name="__main__")


if __name__ == "__main__":
    main()
