"""The web player's page: built from `player/` into `page/` beside this file, and shipped in the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from fastapi import FastAPI
    from starlette.types import Scope

FOLDER: Final = Path(__file__).with_name("page")
VIEWS: Final = ("/", "/add", "/fleet", "/songs/{song_id}")  # that the page shows; see player/src/lib/route.ts
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",  # the second for what stretches time, in WebAssembly
        "worker-src 'self'",
        "connect-src 'self'",  # WebSockets of the same origin are `self`, too
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_MISSING: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Stemwright</title>
<h1>The player is not built</h1>
<p>The studio is running, but its page was not built. In a clone of the repository, with Node 20 or newer:</p>
<pre>make player</pre>
<p>then reload. The API works without it: <a href="./openapi.json">openapi.json</a>.</p></html>"""


def policy(bucket: str | None, uploads: str | None = None) -> str:
    """What the page may do; `bucket` is the origin that stems are read from, `uploads` that files are sent to."""
    asked = " ".join(dict.fromkeys(["'self'", *filter(None, (bucket, uploads))]))
    heard = " ".join(["'self'", *filter(None, (bucket,))])
    return POLICY.replace("connect-src 'self'", f"connect-src {asked}").replace(
        "media-src 'self'", f"media-src {heard}"
    )


class _Files(StaticFiles):
    """Files of the build, whose names change with what they hold, so that a browser may keep them for ever."""

    def __init__(self, folder: Path, *, policy: str) -> None:
        super().__init__(directory=folder, check_dir=False)
        self._policy = policy

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file, with what browsers must know of it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["Content-Security-Policy"] = self._policy  # a worker has the policy of its own file
        return response


def install(app: FastAPI, folder: Path = FOLDER, *, bucket: str | None = None, uploads: str | None = None) -> None:
    """Serve the page at its own addresses, and nothing at any others; where it is not built, say how to.

    `bucket` is the origin of a bucket that stems are read from, `uploads` of one that files are sent to.
    """
    allowed = policy(bucket, uploads)

    def shown(*, deep: bool) -> Callable[[], Response]:
        """The page names its files relative to itself, to work below any sub-path; a song's is a step deeper."""

        def page() -> Response:
            headers = {"Content-Security-Policy": allowed, "Cache-Control": "no-cache"}
            index = folder / "index.html"
            html = index.read_bytes() if index.is_file() else _MISSING.encode()
            html = html.replace(b'"./', b'"../') if deep else html
            return HTMLResponse(html, status_code=200 if index.is_file() else 503, headers=headers)

        return page

    def icon() -> Response:
        path = folder / "icon.svg"
        if not path.is_file():
            return Response(status_code=404)
        return Response(path.read_bytes(), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    for view in VIEWS:
        app.add_api_route(view, shown(deep=view.count("/") > 1), methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/icon.svg", icon, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/assets", _Files(folder / "assets", policy=allowed), name="assets")
