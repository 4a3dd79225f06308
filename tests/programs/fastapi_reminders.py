"""FastAPI, with `AsyncScheduler` in its lifespan, its jobs in a SQLite file, and dependencies in requests and jobs.

uvicorn fastapi_reminders:app --port 8000
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from apsched import AsyncScheduler
from apsched.integrations.fastapi import SchedulerDep, with_dependencies
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, AsyncScheduler]]:
    store = SQLAlchemyJobStore("sqlite:///reminders.sqlite")
    async with AsyncScheduler(jobstores={"default": store}) as scheduler:
        yield {"scheduler": scheduler}


app = FastAPI(lifespan=lifespan)


class Reminder(BaseModel):
    text: str
    at: datetime


async def wording() -> AsyncGenerator[str]:
    yield "It is time for {}."


@with_dependencies
async def remind(text: str, words: Annotated[str, Depends(wording)]) -> str:
    return words.format(text)


@app.post("/reminders", status_code=201)
async def add_reminder(reminder: Reminder, scheduler: SchedulerDep) -> dict[str, str]:
    job = await scheduler.add_job(remind, "date", run_date=reminder.at, args=[reminder.text])
    return {"id": job.id}


@app.get("/reminders")
async def list_reminders(scheduler: SchedulerDep) -> dict[str, list[str]]:
    return {
        "waiting": [job.args[0] for job in await scheduler.get_jobs()],
        "reminded": [run.retval for run in await scheduler.get_runs(outcome="succeeded")],
    }
