"""``python -m mmoinv`` is the ``mmoinv`` command."""

import sys

from mmoinv.cli import main

if __name__ == "__main__":
    sys.exit(main())
