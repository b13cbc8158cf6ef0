"""The page's own files: all that a browser needs, served from the package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request, Response

from feature_store.reporting.page.problems import NotFound

FOLDER = Path(__file__).parent / "static"
PAGE = "page.html"
VERSION = "1"
"""The version of the JSON, raised when something changes its meaning or goes away."""
# Fixed here, not taken from the machine: with nosniff a script of another type does not run.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class _Asset:
    content: bytes
    version: str


_known: dict[tuple[Path, int], _Asset] = {}


def serve(request: Request, name: str) -> Response:
    """Answer with a file of the page.

    A browser caches it and asks each time whether it has changed, because the page's modules name
    each other without a version. With ``?v=`` and the right version, the browser does not ask
    again.

    Raises:
        NotFound: the page has no such file.
    """
    if name not in _names():
        raise NotFound("The page has no such file.")
    asset = _read(FOLDER / name)
    tag = f'"{asset.version}"'
    is_version = request.query_params.get("v") == asset.version
    headers = {
        "ETag": tag,
        "Cache-Control": "private, max-age=31536000, immutable"
        if is_version
        else "private, no-cache",
    }
    # A proxy that compressed it marks the tag with W/.
    held = request.headers.get("if-none-match", "").removeprefix("W/")
    if held == tag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=_TYPES[Path(name).suffix], headers=headers)


def _names() -> set[str]:
    # Looked up in a list, so that a requested name never reaches the file system.
    return {path.name for path in FOLDER.glob("*") if path.suffix in _TYPES}


def _read(path: Path) -> _Asset:
    key = (path, path.stat().st_mtime_ns)
    if key not in _known:
        content = path.read_bytes()
        _known[key] = _Asset(content, hashlib.sha256(content).hexdigest()[:16])
    return _known[key]
