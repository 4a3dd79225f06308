"""Jobs as a file: export and import them (layer 10)."""

from __future__ import annotations

import json
from typing import Any, cast

import anyio.to_thread

from apsched._documents import STORE, job_document
from apsched._job_files import to_text
from apsched.exceptions import AliasLookupError, ConflictingIdError
from apsched.web.refusals import RefusedError
from apsched.web.rest.asking import Asked, check_is_known, values_of_users
from apsched.web.rest.shapes import JobFile, JobsDocument


async def export_jobs(asked: Asked) -> JobFile:
    """
    Export jobs: their callables by name, times, options and pauses.

    It is what the import takes, and import_jobs and "apsched add --from". All jobs are read; the history is not told.
    """
    jobs = await asked.backend.all_jobs(asked.query.get("store"))
    try:
        file: Any = await anyio.to_thread.run_sync(lambda: json.loads(to_text(jobs)))
    except ValueError as exc:
        raise RefusedError(409, str(exc)) from None
    return cast("JobFile", file)


async def import_jobs(asked: Asked) -> JobsDocument:
    """
    Import the jobs of an export, all or none.

    They go on as they were. Their callables are imported where the scheduler runs, as in adding jobs.
    """
    check_is_known(asked)
    store = asked.query.get("store", STORE)
    if store not in asked.backend.stores:
        raise AliasLookupError("job store", store, asked.backend.stores)
    is_reset = asked.query.get("on_conflict") == "reset"
    with values_of_users():
        try:
            jobs = await asked.backend.import_jobs(json.dumps(asked.body), store, replace_existing=is_reset)
        except ConflictingIdError as exc:
            raise RefusedError(409, f"There is a job {exc.job_id!r} already, so none is imported.") from None
    return {"jobs": [job_document(job, store) for job in jobs]}
