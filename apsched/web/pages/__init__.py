"""The pages of the dashboard (layer 10)."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from apsched.web.pages import actions, change, cluster, job, live, load, runs, schedules


def routes() -> list[BaseRoute]:
    """Return the routes of all pages and buttons."""
    return [
        Route("/", schedules.schedules),
        Route("/job", job.job),
        Route("/job/change", change.change, methods=["GET", "POST"]),
        Route("/job/preview", change.preview),
        Route("/job/remove", job.remove),
        Route("/runs", runs.runs),
        Route("/run", runs.run),
        Route("/load", load.load),
        Route("/nodes", cluster.nodes),
        Route("/quarantine", cluster.quarantine),
        Route("/health", cluster.health),
        Route("/live", live.live),
        *(
            Route(f"/do/{action}", actions.endpoint(action, work), methods=["POST"])
            for action, work in actions.ACTIONS.items()
        ),
    ]
