"""What the desk does with a store that no scheduler has."""

from __future__ import annotations

from datetime import UTC

import pytest

from apsched.engine.desk import opened
from apsched.jobstores.memory import MemoryJobStore
from apsched.testing import VirtualClock


async def test_a_trigger_that_contradicts_an_option_is_refused_and_the_job_stays_as_it_is() -> None:
    async with opened(MemoryJobStore(), UTC, VirtualClock()) as desk:
        await desk.add_job("json:dumps", "interval", args=[1], minutes=1, id="job", expect_success_within=120)

        with pytest.raises(ValueError, match="expect_success_within=120 must be longer than the 3600 s"):
            await desk.reschedule_job("job", trigger="interval", hours=1)

        assert str((await desk.job("job")).trigger) == "interval[0:01:00]"
