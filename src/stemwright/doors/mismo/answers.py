"""Errors as answers: `{"detail": …}` at the analysis server, `{"error": …}` at the app server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from fastapi.exceptions import HTTPException, RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse

from stemwright.doors.mismo import messages
from stemwright.errors import StemwrightError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

log = structlog.get_logger("stemwright.doors.mismo")


def install(app: FastAPI) -> None:
    """Answer every error of the door in its form."""
    app.add_exception_handler(StemwrightError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(StarletteHTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unknown)


def _answer(request: Request, status: int, *, code: str, message: str) -> JSONResponse:
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    error = messages.error_of(code, message)
    if path.startswith("/api/"):
        content = {"success": False, "error": error["message"], "code": code}
    else:
        content = {"detail": error["message"], "code": code}
    return JSONResponse(content, status_code=status)


async def _on_ours(request: Request, error: Exception) -> Response:
    if not isinstance(error, StemwrightError):
        raise error
    return _answer(request, error.status, code=error.code, message=error.message)


async def _on_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return _answer(request, 422, code="invalid", message=faults)


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException | StarletteHTTPException):
        raise error
    codes = {404: "not_found", 405: "method_not_allowed"}
    return _answer(request, error.status_code, code=codes.get(error.status_code, "bad_request"), message=error.detail)


async def _on_unknown(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return _answer(request, 500, code="internal", message="")
