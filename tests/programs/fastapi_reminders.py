"""FastAPI, with `AsyncScheduler` in its lifespan and its jobs in a SQLite file.

uvicorn fastapi_reminders:app --port 8000
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel

from apsched import AsyncScheduler
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

scheduler = AsyncScheduler(jobstores={"default": SQLAlchemyJobStore("sqlite:///reminders.sqlite")})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with scheduler:
        yield


app = FastAPI(lifespan=lifespan)


class Reminder(BaseModel):
    text: str
    at: datetime


async def remind(text: str) -> str:
    return f"It is time for {text}."


@app.post("/reminders", status_code=201)
async def add_reminder(reminder: Reminder) -> dict[str, str]:
    job = await scheduler.add_job(remind, "date", run_date=reminder.at, args=[reminder.text])
    return {"id": job.id}


@app.get("/reminders")
async def list_reminders() -> dict[str, list[str]]:
    return {
        "waiting": [job.args[0] for job in await scheduler.get_jobs()],
        "reminded": [run.retval for run in await scheduler.get_runs(outcome="succeeded")],
    }
