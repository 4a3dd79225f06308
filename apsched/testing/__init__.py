"""Help with testing: what users of a scheduler and authors of job stores need (layer 10).

The contract of job stores is in `apsched.testing.contract`, which needs pytest and is not imported here. The fixtures
of `apsched.testing.plugin` are there in every test, since pytest loads that module by itself.

What is named here is imported when it is asked for, so that the plugin costs nothing where no fixture of it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apsched.testing.blocking import BlockingClock
    from apsched.testing.clock import SkewedClock, VirtualClock
    from apsched.testing.cluster import Cluster, ClusterNode
    from apsched.testing.fired import assert_fired
    from apsched.testing.store import FaultyJobStore

__all__ = ["BlockingClock", "Cluster", "ClusterNode", "FaultyJobStore", "SkewedClock", "VirtualClock", "assert_fired"]

_HOMES = {
    "BlockingClock": "apsched.testing.blocking",
    "Cluster": "apsched.testing.cluster",
    "ClusterNode": "apsched.testing.cluster",
    "FaultyJobStore": "apsched.testing.store",
    "SkewedClock": "apsched.testing.clock",
    "VirtualClock": "apsched.testing.clock",
    "assert_fired": "apsched.testing.fired",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'apsched.testing' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
