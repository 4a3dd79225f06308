"""Twisted, with coroutine jobs in its reactor.

python twisted_reminders.py 8000
"""

from __future__ import annotations

import json
import sys

from twisted.internet import reactor, threads
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from apsched.schedulers.twisted import TwistedScheduler

scheduler = TwistedScheduler()


async def remind(text: str) -> str:
    return f"It is time for {text}."


class Reminders(Resource):
    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        reminder = json.load(request.content)
        job = scheduler.add_job(remind, "date", run_date=reminder["at"], args=[reminder["text"]])
        request.setResponseCode(201)
        return json.dumps({"id": job.id}).encode()

    def render_GET(self, request: Request) -> bytes:
        waiting = [job.args[0] for job in scheduler.get_jobs()]
        reminded = [run.retval for run in scheduler.get_runs(outcome="succeeded")]
        return json.dumps({"waiting": waiting, "reminded": reminded}).encode()


if __name__ == "__main__":
    scheduler.start()
    reactor.listenTCP(int(sys.argv[1]), Site(Reminders()))
    reactor.addSystemEventTrigger("before", "shutdown", threads.deferToThread, scheduler.shutdown)
    reactor.run()
