"""Read the collection of `MongoDBJobStore` of APScheduler 3 (layer 7)."""

from __future__ import annotations

from functools import partial
from typing import Any

from apsched.exceptions import JobStoreUnavailableError, MissingExtraError

try:
    from pymongo import MongoClient
    from pymongo.errors import ConfigurationError, PyMongoError
except ImportError as exc:
    raise MissingExtraError("reading MongoDB", "mongodb") from exc

from apsched.migration.jobs import StoredJob
from apsched.migration.values import read_state

DATABASE = "apscheduler"
COLLECTION = "jobs"
PATIENCE = 10_000  # milliseconds until the server must have been found


def read(source: str, collection: str | None) -> list[StoredJob]:
    """
    Return the jobs in a collection; see `read_jobs`.

    Raises:
        JobStoreUnavailableError: The server cannot be reached, or refuses.
        ValueError: The URL is none of MongoDB, or there is no such collection.
    """
    collection = collection or COLLECTION
    place = source.rpartition("@")[2].removeprefix("mongodb://")
    try:
        with MongoClient[dict[str, Any]](source, serverSelectionTimeoutMS=PATIENCE) as client:
            database = client.get_default_database(DATABASE)
            if collection not in database.list_collection_names():
                raise ValueError(
                    f"the database {database.name!r} of MongoDB at {place} has no collection {collection!r}"
                )
            found = list(database[collection].find({"job_state": {"$exists": True}}))
    except ConfigurationError as exc:
        raise ValueError(f"the source must be the URL of a MongoDB server, got one to {place}: {exc}") from exc
    except PyMongoError as exc:
        raise JobStoreUnavailableError(f"MongoDB at {place} cannot be read: {exc}; see whether it is there") from exc
    return [
        StoredJob(
            id=str(document["_id"]),
            read=partial(read_state, document["job_state"]),
            is_scheduled=document.get("next_run_time") is not None,
        )
        for document in found
    ]
