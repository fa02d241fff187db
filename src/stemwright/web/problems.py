"""Errors as responses: `application/problem+json` (RFC 9457) with a stable code, whatever went wrong."""

from __future__ import annotations

import http
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from stemwright.errors import OptionError, StemwrightError, resource_error
from stemwright.studio.snapshot import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastapi import FastAPI, Request
    from fastapi.responses import Response

    from stemwright.records import JsonObject
    from stemwright.studio.snapshot import JobSnapshot

MEDIA: Final = "application/problem+json"
_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
_DETAILS: Final = {404: "there is nothing of that name", 405: "that cannot be done with it; see `Allow`"}
_FIELDS: Final = {"unknown_model": "model", "unknown_stem": "stems", "bad_callback_url": "callback_url"}  # of a job
log = structlog.get_logger("stemwright.web")


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Where, such as `sample_rate` or `query.limit`.")
    message: str


class Problem(BaseModel):
    """Why a request failed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "code": "not_found",
                    "detail": "there is no such job",
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str = Field(description="What the status means.")
    status: int
    code: str = Field(description="Stable; what a program may go by.")
    detail: str = Field(description="One sentence for a person.")
    errors: list[FieldProblem] | None = Field(default=None, description="Each field that is wrong.")


def problem(
    status: int,
    *,
    code: str,
    detail: str,
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A response that says what went wrong."""
    content = _body(status, code=code, detail=detail, errors=errors)
    return JSONResponse(content, status_code=status, media_type=MEDIA, headers=dict(headers or {}))


def body_of(error: StemwrightError) -> JsonObject:
    """What a problem says, for those to whom it is pushed."""
    return _body(error.status, code=error.code, detail=shown(error.code, error.message))


def _body(status: int, *, code: str, detail: str, errors: Sequence[FieldProblem] | None = None) -> JsonObject:
    title, faults = http.HTTPStatus(status).phrase, list(errors) if errors else None
    body = Problem(title=title, status=status, code=code, detail=detail, errors=faults)
    return body.model_dump(exclude_none=True)


def reason_of(job: JobSnapshot) -> str:
    """Why a job came to nothing, for a person; what only the log is to say stays there."""
    if job.status == "cancelled":
        return "the job was cancelled"
    return shown(job.error.code, job.error.message) if job.error else shown("internal", "")


class MalformedError(StemwrightError):
    """The body of a request cannot be read."""

    code = "malformed"
    status = 400


class UnsupportedMediaTypeError(StemwrightError):
    """The body of a request is of another kind than is understood."""

    code = "unsupported_media_type"
    status = 415


class StalledError(StemwrightError):
    """The body of a request stopped coming."""

    code = "stalled"
    status = 408
    retryable = True


class NotReadyError(StemwrightError):
    """The server cannot work now."""

    code = "not_ready"
    status = 503
    retryable = True


class NoFleetPageError(StemwrightError):
    """What goes on in the studio is not shown."""

    code = "not_found"
    status = 404


class InvalidFieldsError(OptionError):
    """Fields of a request are wrong; names each."""

    code = "invalid"

    def __init__(self, errors: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors

    @classmethod
    def of(cls, error: ValidationError) -> InvalidFieldsError:
        """What pydantic found; of a list with wrong parts, those."""
        faults = error.errors(include_url=False, include_context=False)
        parents = {fault["loc"][:length] for fault in faults for length in range(1, len(fault["loc"]))}
        return cls([_field(fault) for fault in faults if fault["loc"] not in parents])


def _field(fault: Any, *, skip: int = 0) -> FieldProblem:
    place = ".".join(str(part) for part in fault["loc"][skip:])
    return FieldProblem(field=place or "body", message=str(fault["msg"]).removeprefix("Value error, "))


def _as_problem(_request: Request, status: int, **what: Any) -> Response:
    return problem(status, **what)


def install(app: FastAPI, *, answer: Callable[..., Response] = _as_problem) -> None:
    """Turn every error of an app into a problem, or into what `answer`, given the request too, makes of it."""
    app.add_exception_handler(StemwrightError, partial(_on_ours, answer))
    app.add_exception_handler(RequestValidationError, partial(_on_invalid, answer))
    app.add_exception_handler(HTTPException, partial(_on_http, answer))
    app.add_exception_handler(ClientDisconnect, partial(_on_gone, answer))
    app.add_exception_handler(Exception, partial(_on_unknown, answer))


async def _on_ours(answer: Callable[..., Response], request: Request, error: Exception) -> Response:
    if not isinstance(error, StemwrightError):
        raise error
    headers = {"Retry-After": "5"} if error.retryable else None
    errors = error.errors if isinstance(error, InvalidFieldsError) else None
    if errors is None and request.method == "POST" and error.code in _FIELDS:
        errors = [FieldProblem(field=_FIELDS[error.code], message=error.message)]
    detail = shown(error.code, error.message)
    if detail != error.message:
        log.warning("request failed", path=request.url.path, code=error.code, reason=error.message)
    return answer(request, error.status, code=error.code, detail=detail, errors=errors, headers=headers)


async def _on_invalid(answer: Callable[..., Response], request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [_field(fault, skip=1 if fault["loc"][:1] == ("body",) else 0) for fault in error.errors()]
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    return answer(request, 422, code="invalid", detail=detail, errors=faults)


async def _on_http(answer: Callable[..., Response], request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    code = _CODES.get(status, "bad_request" if status < 500 else "internal")
    return answer(request, status, code=code, detail=_DETAILS.get(status, error.detail), headers=error.headers)


async def _on_gone(answer: Callable[..., Response], request: Request, _error: Exception) -> Response:
    """The client hung up amid its request; nobody reads this."""
    return answer(request, 400, code="malformed", detail="the body ended early")


async def _on_unknown(answer: Callable[..., Response], request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    if ours := resource_error(error):
        return await _on_ours(answer, request, ours)
    return answer(request, 500, code="internal", detail=shown("internal", ""))
