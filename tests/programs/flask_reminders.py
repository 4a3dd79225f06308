"""Flask, with its jobs in a SQLite file: they outlive the program.

    python flask_reminders.py 8000
    curl -X POST localhost:8000/reminders -H 'Content-Type: application/json' \
        -d '{"text": "tea", "at": "2030-01-01T16:00:00+01:00"}'
    curl localhost:8000/reminders
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from flask import Flask, request

from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.schedulers.background import BackgroundScheduler

app = Flask(__name__)
scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore("sqlite:///reminders.sqlite")})


def remind(text: str) -> str:
    return f"It is time for {text}."


@app.post("/reminders")
def add_reminder() -> tuple[dict[str, Any], int]:
    job = scheduler.add_job(remind, "date", run_date=request.json["at"], args=[request.json["text"]])
    return {"id": job.id}, 201


@app.get("/reminders")
def list_reminders() -> dict[str, Any]:
    return {
        "waiting": [job.args[0] for job in scheduler.get_jobs()],
        "reminded": [run.retval for run in scheduler.get_runs(outcome="succeeded")],
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    scheduler.start()
    try:
        app.run(port=int(sys.argv[1]))
    finally:
        scheduler.shutdown()
