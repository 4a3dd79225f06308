"""Name the collections, make what is missing, and refuse what is not ours (layer 7)."""

from __future__ import annotations

from typing import Any

import attrs

from apsched._mongodb_clients import Document, MongoLink
from apsched.exceptions import JobStoreVersionError
from apsched.jobstores._mongodb.documents import NEVER

VERSION = 1
INDEXED = 2  # raised by each release that adds to INDEXES


@attrs.frozen
class Names:
    """The names of the collections."""

    jobs: str
    runs: str
    nodes: str
    schema: str
    signals: str

    @classmethod
    def of(cls, jobs: str) -> Names:
        """Return those beside a collection of jobs: `runs` beside `jobs`, `x_runs` beside `x_jobs` or any other `x`."""
        head = jobs.removesuffix("jobs") if jobs == "jobs" or jobs.endswith(("_jobs", ".jobs")) else f"{jobs}_"
        return cls(jobs, f"{head}runs", f"{head}nodes", f"{head}schema", f"{head}signals")


INDEXES: dict[str, list[tuple[list[tuple[str, int]], Document]]] = {
    "jobs": [
        ([("executor", 1), ("due", 1)], {}),
        ([("next_run_time", 1), ("_id", 1)], {}),
        ([("active.by", 1)], {"partialFilterExpression": {"active.by": {"$exists": True}}}),
        ([("executor", 1), ("waiting", 1)], {"partialFilterExpression": {"waiting": {"$lt": NEVER}}}),
        ([("waiting", 1)], {"partialFilterExpression": {"waiting": {"$lt": NEVER}}}),
        ([("quarantine", 1)], {"partialFilterExpression": {"quarantine": {"$gt": ""}}}),
        ([("mark", 1)], {"partialFilterExpression": {"mark": {"$gt": ""}}}),
        ([("tags", 1)], {"partialFilterExpression": {"tags": {"$gt": ""}}}),
        ([("follows", 1)], {"partialFilterExpression": {"follows": {"$gt": ""}}}),
        (
            [("expects_success", 1), ("next_run_time", 1), ("_id", 1)],
            {"partialFilterExpression": {"expects_success": True}},
        ),
    ],
    "runs": [
        ([("_id.nominal_time", -1), ("_id.job", -1)], {}),
        ([("outcome", 1), ("_id.nominal_time", -1), ("_id.job", -1)], {}),
        ([("node", 1), ("_id.nominal_time", -1), ("_id.job", -1)], {}),
        ([("prune_at", 1)], {"partialFilterExpression": {"prune_at": {"$exists": True}}}),
    ],
}


async def prepare(link: MongoLink, database: str, names: Names) -> None:
    """
    Make the collections and indexes that are missing; safe when several nodes do.

    Raises:
        JobStoreVersionError: The collection of jobs holds something else, or is of another version.
    """
    schema: Any = link.collection(database, names.schema)
    jobs: Any = link.collection(database, names.jobs)
    known: Document | None = await link.call(schema.find_one, {"_id": "version"})
    if known is None:
        foreign: Document | None = await link.call(jobs.find_one, {"state": {"$exists": False}})
        if foreign is not None:
            what = "jobs of APScheduler 3" if "job_state" in foreign else "something else"
            raise JobStoreVersionError(
                f"the collection {names.jobs!r} of the database {database!r} holds {what}; "
                f"give MongoDBJobStore another collection or database"
            )
    elif known.get("version") != VERSION:
        raise JobStoreVersionError(
            f"the collection {names.jobs!r} of the database {database!r} is of version {known.get('version')!r}, "
            f"and this release of apsched knows version {VERSION}; update apsched in all processes, "
            f"or give MongoDBJobStore another collection"
        )
    elif known.get("indexed", 1) >= INDEXED:
        return
    for collection, indexes in INDEXES.items():
        target: Any = link.collection(database, getattr(names, collection))
        for keys, options in indexes:
            await link.build(target.create_index, keys, **options)
    made = {"$setOnInsert": {"version": VERSION}, "$max": {"indexed": INDEXED}}
    await link.call(schema.update_one, {"_id": "version"}, made, upsert=True)
