"""FastAPI, with the `AsyncIOScheduler` of APScheduler 3 in its lifespan and its jobs in memory.

uvicorn fastapi_asyncio_reminders:app --port 8000
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel

from apsched.schedulers.asyncio import AsyncIOScheduler

scheduler = AsyncIOScheduler()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    scheduler.start()
    yield
    await asyncio.to_thread(scheduler.shutdown)  # waits for jobs in this loop, too


app = FastAPI(lifespan=lifespan)


class Reminder(BaseModel):
    text: str
    at: datetime


async def remind(text: str) -> str:
    return f"It is time for {text}."


@app.post("/reminders", status_code=201)
async def add_reminder(reminder: Reminder) -> dict[str, str]:
    job = scheduler.add_job(remind, "date", run_date=reminder.at, args=[reminder.text])
    return {"id": job.id}


@app.get("/reminders")
async def list_reminders() -> dict[str, list[str]]:
    return {
        "waiting": [job.args[0] for job in scheduler.get_jobs()],
        "reminded": [run.retval for run in scheduler.get_runs(outcome="succeeded")],
    }
