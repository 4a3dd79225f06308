"""Help with testing: what users of a scheduler and authors of job stores need (layer 10).

The contract of job stores is in `apsched.testing.contract`, which needs pytest and is not imported here.
"""

from apsched.testing.clock import VirtualClock

__all__ = ["VirtualClock"]
