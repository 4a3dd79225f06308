"""Flask, with a job of the code, one of the configuration and those that requests add, all in a SQLite file.

flask --app flask_stock run --debug
curl -X POST localhost:5000/orders/7
curl localhost:5000/orders
flask --app flask_stock jobs list
"""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask, current_app

from apsched.integrations.flask import APSched

scheduler = APSched()


@scheduler.task("interval", id="count", seconds=1)
def count() -> int:
    return len(current_app.config["STOCK"])


def order(number: int) -> str:
    return f"{number} of {current_app.name} is ordered"


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        STOCK=["tea", "rice"],
        SCHEDULER_JOBSTORES={"default": {"type": "sqlalchemy", "url": "sqlite:///stock.sqlite"}},
        SCHEDULER_TIMEZONE="Europe/Helsinki",
        JOBS=[{"id": "weekly", "func": order, "args": [100], "trigger": {"type": "cron", "day_of_week": "mon"}}],
    )
    app.config.from_prefixed_env()
    scheduler.init_app(app)

    @app.post("/orders/<int:number>")
    def add_order(number: int) -> tuple[dict[str, Any], int]:
        return {"id": scheduler.add_job(order, args=[number]).id}, 201

    @app.get("/orders")
    def list_orders() -> list[Any]:
        runs = scheduler.get_runs(outcome="succeeded")
        return [run.retval for run in runs if isinstance(run.retval, str)]

    scheduler.start()
    return app


if __name__ == "__main__":
    create_app().run(port=int(sys.argv[1]), debug=True)
