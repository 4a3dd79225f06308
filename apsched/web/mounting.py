"""Find out where the application is mounted (layer 10)."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import Scope


def mounted(scope: Scope) -> Scope:
    """
    Return *scope* with the whole path and the root path, as ASGI wants them.

    Litestar gives what it mounts the rest of the path, with a slash at its end, and no root path.
    """
    if "litestar_app" not in scope or scope.get("root_path"):
        return scope
    path = unquote(bytes(scope["raw_path"]).partition(b"?")[0].decode("latin-1"))
    return {**scope, "path": path, "root_path": path.rstrip("/").removesuffix(str(scope["path"]).rstrip("/"))}
