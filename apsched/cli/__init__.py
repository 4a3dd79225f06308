"""Work with job stores from a shell: the command `apsched` (layer 10).

One file is one command; `app.py` lists them. Exit codes of all commands:

| code | meaning |
|---|---|
| 0 | all that was asked for is done |
| 1 | it could not be done; standard error says why. Of `doctor`: something is wrong |
| 2 | the command line is not understood |
| 3 | it is done, but not for every job |
| 130 | interrupted |
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command in `sys.argv` and return its exit code."""
    try:
        from apsched.cli.app import run

        return run(sys.argv[1:])
    except ImportError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write("apsched: the command needs packages that are not installed; pip install 'apsched[cli]'\n")
        return 1
