"""Starlette, with `AsyncScheduler` in its lifespan and its jobs in a SQLite file.

uvicorn starlette_reminders:app --port 8000
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from apsched import AsyncScheduler
from apsched.integrations.starlette import scheduler_of
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore


async def remind(text: str) -> str:
    return f"It is time for {text}."


async def add_reminder(request: Request) -> JSONResponse:
    reminder = await request.json()
    job = await scheduler_of(request).add_job(remind, "date", run_date=reminder["at"], args=[reminder["text"]])
    return JSONResponse({"id": job.id}, 201)


async def list_reminders(request: Request) -> JSONResponse:
    scheduler = scheduler_of(request)
    waiting = [job.args[0] for job in await scheduler.get_jobs()]
    reminded = [run.retval for run in await scheduler.get_runs(outcome="succeeded")]
    return JSONResponse({"waiting": waiting, "reminded": reminded})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[dict[str, AsyncScheduler]]:
    store = SQLAlchemyJobStore("sqlite:///reminders.sqlite")
    async with AsyncScheduler(jobstores={"default": store}) as scheduler:
        yield {"scheduler": scheduler}


app = Starlette(
    routes=[
        Route("/reminders", add_reminder, methods=["POST"]),
        Route("/reminders", list_reminders),
    ],
    lifespan=lifespan,
)
