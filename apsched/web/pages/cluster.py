"""The pages of nodes, of quarantined jobs, and of health (layer 10)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from starlette.requests import Request
from starlette.responses import Response

from apsched.doctor import Finding
from apsched.web.answers import JobQuery, StoredNode
from apsched.web.backend import Backend
from apsched.web.pages.view import job_rows, link, since
from apsched.web.state import Web
from apsched.web.templating import page
from apsched.web.words import length

QUARANTINED = 50  # of a page
PATIENCE = 1.5  # leases without a sign of life


@attrs.frozen(kw_only=True)
class NodeRow:
    """
    A node in a table.

    Attributes:
        known: The node.
        host: The machine.
        process: The id of the process.
        age: Seconds since its last sign of life.
        share: That as a share of its lease, at most 1.
        state: `alive`, `late`, `silent` or `dead`.
        kind: The color of that.
        is_here: Whether it is the scheduler of this process.
        is_watched: Whether it gives signs of life, since other processes may share its store.
        clock: How its clock differs from that of this process, in words; "" if that cannot be seen.
    """

    known: StoredNode
    host: str
    process: str
    age: float
    share: float
    state: str
    kind: str
    is_here: bool
    is_watched: bool
    clock: str


@attrs.frozen(kw_only=True)
class StoreRow:
    """A store, how many seconds it takes to answer, and how many nodes it has."""

    alias: str
    kind: str
    latency: float
    nodes: int


async def nodes(request: Request) -> Response:
    """Show the nodes."""
    web = Web.of(request)
    backend = web.backend
    known = await backend.nodes()
    seen = web.sightings.look(known, backend.now)
    return page(
        request,
        "nodes.html",
        rows=[_node(backend, each, seen[each.store, each.node.id].ahead) for each in known],
        stores=await _stores(backend, known),
        health=await backend.health(),
    )


async def quarantine(request: Request) -> Response:
    """Show the jobs that cannot run."""
    web = Web.of(request)
    found = await web.backend.jobs(JobQuery(state="quarantined"), QUARANTINED, request.query_params.get("after"))
    return page(
        request,
        "quarantine.html",
        rows=await job_rows(web.backend, found.jobs, web.zone),
        next=None if found.next is None else link(request, after=found.next),
    )


async def health(request: Request) -> Response:
    """Show how the scheduler is, and, where that is asked for, what is wrong in the stores."""
    backend = Web.of(request).backend
    findings: list[tuple[str, Finding]] | None = None
    if "examine" in request.query_params:
        findings = [(alias, finding) for alias in backend.stores for finding in await backend.examine(alias)]
    known = await backend.nodes()
    return page(
        request, "health.html", health=await backend.health(), stores=await _stores(backend, known), findings=findings
    )


async def _stores(backend: Backend, nodes: Sequence[StoredNode]) -> list[StoreRow]:
    return [
        StoreRow(
            alias=alias,
            kind=backend.kind_of(alias).removesuffix("JobStore"),
            latency=await backend.latency(alias),
            nodes=sum(each.store == alias and not each.node.is_dead for each in nodes),
        )
        for alias in backend.stores
    ]


def _node(backend: Backend, known: StoredNode, ahead: float | None) -> NodeRow:
    node, now = known.node, backend.now
    host, _, rest = node.id.partition(":")
    age = since(node.seen_at, now) or 0.0
    is_here = backend.scheduler is not None and node.id == backend.scheduler.node
    is_watched = backend.is_shared(known.store)
    state, kind = "alive", "ok"
    if node.is_dead:
        state, kind = "dead", "bad"
    elif is_watched and age > node.lease * PATIENCE:
        state, kind = "silent", "bad"
    elif is_watched and age > node.lease:
        state, kind = "late", "warn"
    return NodeRow(
        known=known,
        host=host,
        process=rest.partition(":")[0],
        age=age,
        share=min(age / node.lease, 1.0),
        state=state,
        kind=kind,
        is_here=is_here,
        is_watched=is_watched,
        clock="" if ahead is None else f"at least {length(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}",
    )
