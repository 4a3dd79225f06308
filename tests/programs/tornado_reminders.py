"""Tornado, with coroutine jobs in its I/O loop.

python tornado_reminders.py 8000
"""

from __future__ import annotations

import asyncio
import signal
import sys

from tornado.escape import json_decode
from tornado.web import Application, RequestHandler

from apsched.schedulers.tornado import TornadoScheduler

scheduler = TornadoScheduler()


async def remind(text: str) -> str:
    return f"It is time for {text}."


class Reminders(RequestHandler):
    def post(self) -> None:
        reminder = json_decode(self.request.body)
        job = scheduler.add_job(remind, "date", run_date=reminder["at"], args=[reminder["text"]])
        self.set_status(201)
        self.write({"id": job.id})

    def get(self) -> None:
        waiting = [job.args[0] for job in scheduler.get_jobs()]
        reminded = [run.retval for run in scheduler.get_runs(outcome="succeeded")]
        self.write({"waiting": waiting, "reminded": reminded})


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    scheduler.start()
    server = Application([("/reminders", Reminders)]).listen(int(sys.argv[1]))
    await stop.wait()
    server.stop()
    await asyncio.to_thread(scheduler.shutdown)


if __name__ == "__main__":
    asyncio.run(main())
