"""Run the command `apsched` as `python -m apsched.cli` (layer 10)."""

import sys

from apsched.cli import main

sys.exit(main())
