"""Nodes, and how the scheduler of this process is (layer 10)."""

from __future__ import annotations

from typing import cast

from apsched._documents import node_document
from apsched.healthz import health_document
from apsched.web.refusals import RefusedError
from apsched.web.rest.asking import Asked
from apsched.web.rest.shapes import HealthDocument, NodesDocument


async def list_nodes(asked: Asked) -> NodesDocument:
    """List the nodes: the schedulers that work on the stores."""
    nodes = await asked.backend.nodes()
    return {"nodes": [node_document(each.node, each.running, each.store) for each in nodes]}


async def get_health(asked: Asked) -> HealthDocument:
    """
    Say how the scheduler is that this process runs.

    It is there only if this process runs one.
    """
    health = await asked.backend.health()
    if health is None:
        raise RefusedError(404, "This process runs no scheduler; its job store is opened alone.")
    _, document = health_document(health, details=True, now=asked.backend.now)
    return cast("HealthDocument", document)
