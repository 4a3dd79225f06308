"""
Real engines: a Dask cluster and a Celery worker.

The nox session `engines` runs these tests; others leave them out, since the packages are large and the engines take
some seconds to start. The session sets APSCHED_TEST_ENGINES.
"""

from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("apsched.testing.contract", "tests.engines.elsewhere")

collect_ignore_glob = [] if os.environ.get("APSCHED_TEST_ENGINES") else ["test_*.py"]
