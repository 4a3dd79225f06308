"""Read the files that `export_jobs` of APScheduler 3 has written (layer 7)."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from apsched.migration.jobs import StoredJob
from apsched.migration.pickles import Record, RefusedPickleError
from apsched.migration.values import read_state


def read(path: Path) -> list[StoredJob]:
    """
    Return the jobs in the file at *path*.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, or of an unknown version.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{str(path)!r} is no file; give the path of one that export_jobs has written, or the URL of a database"
        )
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{str(path)!r} is no file that export_jobs has written: {exc}") from exc
    jobs = document.get("jobs") if isinstance(document, dict) else None
    if not isinstance(jobs, list) or document.get("version") != 1:
        raise ValueError(f"{str(path)!r} must hold jobs in version 1 of APScheduler's export, and does not")
    return stored_jobs(jobs)


def stored_jobs(jobs: Sequence[Any]) -> list[StoredJob]:
    """Return the jobs of which *jobs* are the entries in such a file."""
    return [_stored(number, state) for number, state in enumerate(jobs, 1)]


def _stored(number: int, state: Any) -> StoredJob:
    job_id = state.get("id") if isinstance(state, dict) else None
    return StoredJob(
        id=job_id if isinstance(job_id, str) else f"(job {number} of the file)", read=partial(_restored, state)
    )


def _restored(value: Any) -> Any:
    """Return *value* with the pickles and instances in it read."""
    if isinstance(value, list):
        return [_restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if isinstance(packed := value.get("__apscheduler_pickle__"), str):
        try:
            return read_state(b64decode(packed, validate=True))
        except binascii.Error as exc:
            raise RefusedPickleError(f"its pickle is damaged ({exc})") from exc
    if isinstance(name := value.get("__apscheduler_class__"), str):
        return Record(name, state=_restored(value.get("__apscheduler_state__")))
    return {key: _restored(each) for key, each in value.items()}
