"""The table of all operations: what is served, described and tested is made of it (layer 10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from apsched._documents import BackfillDocument, JobDocument, RunDocument
from apsched.web.rest import cluster, files, jobs, runs, shapes, triggers
from apsched.web.rest.asking import Asked
from apsched.web.security import Action

JOB, RUN = "/jobs/{job_id}", "/runs/{run_id}"


@attrs.frozen
class Operation:
    """
    Something that a request may ask for.

    Attributes:
        method: `GET`, `POST`, `PATCH` or `DELETE`.
        path: Below `/api`, with its parts in braces.
        answer: Does it, and returns what is answered; its name and docstring name and describe the operation.
        query: The `TypedDict` of the query.
        body: The `TypedDict` of the body; None: it has none.
        returns: The `TypedDict` of what is answered; None: nothing.
        status: The status of that.
        location: The path of what was made, below `/api`, with its id in braces.
        action: What whoever asks must be allowed to do.
        problems: The statuses of problems of its own.
    """

    method: str
    path: str
    answer: Callable[[Asked], Awaitable[Any]]
    query: Any = attrs.field(default=shapes.NothingAsked, kw_only=True)
    body: Any = None
    returns: Any = None
    status: int = 200
    location: str | None = None
    action: Action = "view"
    problems: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.answer.__name__


NO_SUCH, CONFLICT = 404, 409

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "/jobs", jobs.list_jobs, query=shapes.JobsAsked, returns=shapes.JobPageDocument, problems=(NO_SUCH,)
    ),
    Operation(
        "POST",
        "/jobs",
        jobs.add_job,
        action="add_job",
        body=shapes.NewJob,
        returns=JobDocument,
        status=201,
        location="/jobs/{id}",
        problems=(CONFLICT,),
    ),
    Operation("GET", JOB, jobs.get_job, query=shapes.StoreAsked, returns=JobDocument, problems=(NO_SUCH,)),
    Operation(
        "PATCH",
        JOB,
        jobs.change_job,
        action="modify_job",
        query=shapes.StoreAsked,
        body=shapes.JobChange,
        returns=JobDocument,
        problems=(NO_SUCH,),
    ),
    Operation(
        "DELETE", JOB, jobs.remove_job, action="remove_job", query=shapes.StoreAsked, status=204, problems=(NO_SUCH,)
    ),
    Operation(
        "POST",
        f"{JOB}/pause",
        jobs.pause_job,
        action="pause_job",
        query=shapes.StoreAsked,
        returns=JobDocument,
        problems=(NO_SUCH,),
    ),
    Operation(
        "POST",
        f"{JOB}/resume",
        jobs.resume_job,
        action="resume_job",
        query=shapes.StoreAsked,
        returns=JobDocument,
        problems=(NO_SUCH, CONFLICT),
    ),
    Operation(
        "POST",
        f"{JOB}/run",
        jobs.run_job,
        action="run_job",
        query=shapes.StoreAsked,
        body=shapes.NewRun,
        returns=RunDocument,
        status=202,
        location="/runs/{id}",
        problems=(NO_SUCH,),
    ),
    Operation(
        "POST",
        f"{JOB}/backfill",
        jobs.backfill_job,
        action="backfill_job",
        query=shapes.StoreAsked,
        body=shapes.NewBackfill,
        returns=BackfillDocument,
        problems=(NO_SUCH,),
    ),
    Operation(
        "GET", "/runs", runs.list_runs, query=shapes.RunsAsked, returns=shapes.RunPageDocument, problems=(NO_SUCH,)
    ),
    Operation("GET", RUN, runs.get_run, query=shapes.StoreAsked, returns=RunDocument, problems=(NO_SUCH,)),
    Operation(
        "POST",
        f"{RUN}/cancel",
        runs.cancel_run,
        action="cancel_run",
        query=shapes.StoreAsked,
        returns=RunDocument,
        problems=(NO_SUCH, CONFLICT),
    ),
    Operation(
        "GET",
        "/upcoming",
        runs.list_upcoming,
        query=shapes.UpcomingAsked,
        returns=shapes.UpcomingDocument,
        problems=(NO_SUCH,),
    ),
    Operation(
        "GET",
        "/explanation",
        runs.explain,
        query=shapes.ExplanationAsked,
        returns=shapes.ExplanationDocument,
    ),
    Operation("GET", "/trigger", triggers.describe_trigger, query=shapes.TriggerAsked, returns=shapes.TriggerDocument),
    Operation(
        "GET",
        "/export",
        files.export_jobs,
        action="export_jobs",
        query=shapes.ExportAsked,
        returns=shapes.JobFile,
        problems=(CONFLICT,),
    ),
    Operation(
        "POST",
        "/import",
        files.import_jobs,
        action="add_job",
        query=shapes.ImportAsked,
        body=shapes.JobFile,
        returns=shapes.JobsDocument,
        problems=(CONFLICT,),
    ),
    Operation("GET", "/nodes", cluster.list_nodes, returns=shapes.NodesDocument),
    Operation("GET", "/health", cluster.get_health, returns=shapes.HealthDocument, problems=(NO_SUCH,)),
)
