"""Litestar, with an `AsyncScheduler` that starts with it and its jobs in a SQLite file.

uvicorn litestar_reminders:app --port 8000
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from litestar import Litestar, get, post
from litestar.params import JSONBody

from apsched import AsyncScheduler
from apsched.integrations.litestar import SchedulerDep, SchedulerPlugin
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore


@dataclass
class Reminder:
    text: str
    at: datetime


async def remind(text: str) -> str:
    return f"It is time for {text}."


@post("/reminders")
async def add_reminder(data: JSONBody[Reminder], scheduler: SchedulerDep) -> dict[str, str]:
    job = await scheduler.add_job(remind, "date", run_date=data.at, args=[data.text])
    return {"id": job.id}


@get("/reminders")
async def list_reminders(scheduler: SchedulerDep) -> dict[str, list[str]]:
    return {
        "waiting": [job.args[0] for job in await scheduler.get_jobs()],
        "reminded": [run.retval for run in await scheduler.get_runs(outcome="succeeded")],
    }


scheduler = AsyncScheduler(jobstores={"default": SQLAlchemyJobStore("sqlite:///reminders.sqlite")})
app = Litestar([add_reminder, list_reminders], plugins=[SchedulerPlugin(scheduler)])
