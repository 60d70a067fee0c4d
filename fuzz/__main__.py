"""`make fuzz`: see fuzz_run."""

import sys

from fuzz_run import main

sys.exit(main())
