"""gevent, with jobs in greenlets.

python gevent_reminders.py 8000
"""

from gevent import monkey

monkey.patch_all()

import json
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

from apsched.schedulers.gevent import GeventScheduler

scheduler = GeventScheduler()


def remind(text: str) -> str:
    return f"It is time for {text}."


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] == "POST":
        reminder = json.load(environ["wsgi.input"])
        job = scheduler.add_job(remind, "date", run_date=reminder["at"], args=[reminder["text"]])
        start_response("201 Created", [])
        return [json.dumps({"id": job.id}).encode()]
    waiting = [job.args[0] for job in scheduler.get_jobs()]
    reminded = [run.retval for run in scheduler.get_runs(outcome="succeeded")]
    start_response("200 OK", [])
    return [json.dumps({"waiting": waiting, "reminded": reminded}).encode()]


if __name__ == "__main__":
    scheduler.start()
    server = WSGIServer(("127.0.0.1", int(sys.argv[1])), app)
    gevent.signal_handler(signal.SIGTERM, server.stop)
    server.serve_forever()
    scheduler.shutdown()
