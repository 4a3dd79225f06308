"""What the buttons do (layer 10).

A browser without JavaScript is sent to a page that shows what has become of it. With it the page stays, is told what
was done by a header, and reads itself anew.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from apsched.run import Run
from apsched.web.backend import Backend
from apsched.web.refusals import RefusedError
from apsched.web.security import Action, read_form
from apsched.web.state import Web
from apsched.web.words import query


@attrs.frozen(kw_only=True)
class Done:
    """
    What is told of an action.

    Attributes:
        text: What was done, one sentence.
        page: Where to look at it: a path below that of the dashboard.
    """

    text: str
    page: str


Work = Callable[[Backend, Mapping[str, str]], Awaitable[Done]]


async def run_job(backend: Backend, form: Mapping[str, str]) -> Done:
    """Queue a run of the job `id`."""
    run = await backend.run_job(form.get("id", ""), form.get("store") or None)
    return Done(text=f"A new run of {run.job_id}, for the present time, waits for a node.", page=_run(run, form))


async def pause_job(backend: Backend, form: Mapping[str, str]) -> Done:
    """Pause the job `id`."""
    job = await backend.pause_job(form.get("id", ""), form.get("store") or None)
    return Done(text=f"{job.id} is paused.", page=_job(form))


async def resume_job(backend: Backend, form: Mapping[str, str]) -> Done:
    """Let the job `id` run again."""
    try:
        job = await backend.resume_job(form.get("id", ""), form.get("store") or None)
    except ValueError as exc:  # of a store alone, which keeps it
        raise RefusedError(409, str(exc)) from None
    if job is None:
        return Done(text=f"{form.get('id')} had no time to come, so it was removed.", page="")
    return Done(text=f"{job.id} is scheduled again.", page=_job(form))


async def remove_job(backend: Backend, form: Mapping[str, str]) -> Done:
    """Remove the job `id`."""
    await backend.remove_job(form.get("id", ""), form.get("store") or None)
    return Done(text=f"{form.get('id')} is removed.", page="")


async def cancel_run(backend: Backend, form: Mapping[str, str]) -> Done:
    """Cancel the run `id`."""
    found = await backend.run(form.get("id", ""), form.get("store") or None)
    run = await backend.cancel_run(found.run.id)
    return Done(text=f"{run.id} is being cancelled.", page=_run(run, form))


ACTIONS: Mapping[Action, Work] = {
    "run_job": run_job,
    "pause_job": pause_job,
    "resume_job": resume_job,
    "remove_job": remove_job,
    "cancel_run": cancel_run,
}


def endpoint(action: Action, work: Work) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers the form of an action."""

    async def answer(request: Request) -> Response:
        web = Web.of(request)
        form = await read_form(request)
        done = await web.access.perform(request, action, form.get("id", ""), lambda: work(web.backend, form))
        if "hx-request" in request.headers:
            told: dict[str, Any] = {"apsched-told": {"text": done.text, "page": done.page}, "apsched-changed": {}}
            return Response(status_code=204, headers={"hx-trigger": json.dumps(told)})
        return RedirectResponse(f"{request.scope.get('root_path', '')}/{done.page}", 303)

    return answer


def _run(run: Run, form: Mapping[str, str]) -> str:
    return "run?" + query({"id": run.id, "store": form.get("store", "")})


def _job(form: Mapping[str, str]) -> str:
    return "job?" + query({"id": form.get("id", ""), "store": form.get("store", "")})
