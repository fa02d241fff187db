"""A remote worker: another Stemwright server, spoken to through its native API."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import ValidationError

from stemwright.engine.receipt import Receipt
from stemwright.errors import StemwrightError, WorkerError, WorkerRefusedError

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

_STEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_TIMEOUT: Final = 60.0  # seconds without a byte


class Worker:
    """A client of it. Every method raises `WorkerError`, and `WorkerRefusedError` for what was forgotten there."""

    def __init__(self, url: str) -> None:
        import httpx

        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, song: Path, *, name: str, strategy: str, callback_url: str | None = None) -> dict[str, Any]:
        """Hand a recording over: the job there. Raises `WorkerRefusedError` when it wants none of it."""
        fields = {"strategy": strategy, "format": "flac", "analysis": "false"}
        if callback_url:
            fields["callback_url"] = callback_url
        with song.open("rb") as file:
            job: dict[str, Any] = self._ask("POST", "/api/v1/jobs", files={"file": (name, file)}, data=fields).json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """A job there, as it is now."""
        job: dict[str, Any] = self._ask("GET", f"/api/v1/jobs/{job_id}").json()
        return job

    def fetch(self, job: dict[str, Any], folder: Path) -> Receipt:
        """Fetch the stems of a job that succeeded, as FLAC with their overviews, into a folder; their receipt."""
        result = job["result"]
        content = self._ask("GET", result["receipt"]).content
        try:
            receipt = Receipt.model_validate_json(content)
        except ValidationError as error:
            raise WorkerError("the remote worker speaks another version: its receipt is not understood") from error
        for stem in receipt.stems:
            if not _STEM.fullmatch(stem.name) or stem.name not in result["stems"]:
                raise WorkerError("the remote worker has a stem that cannot be fetched")
            self._download(result["stems"][stem.name], folder / f"{stem.name}.flac")
            self._download(result["peaks"][stem.name], folder / f"{stem.name}.peaks.dat")
        return receipt

    def _download(self, url: str, path: Path) -> None:
        import httpx

        try:
            with self._http.stream("GET", url) as answer, path.open("wb") as file:
                if answer.status_code != 200:
                    answer.read()
                    raise _fault(answer)
                for piece in answer.iter_bytes(1 << 20):
                    file.write(piece)
        except httpx.HTTPError as error:
            raise WorkerError(f"the remote worker cannot be reached: {type(error).__name__}") from error

    def _ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        import httpx

        try:
            answer = self._http.request(method, path, **what)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WorkerError(f"the remote worker cannot be reached: {type(error).__name__}") from error
        if answer.is_success:
            return answer
        raise _fault(answer)


def _fault(answer: httpx.Response) -> StemwrightError:
    """What an answer of the worker that is none means; by its `code`: a proxy before it may answer 404 too."""
    try:
        said = answer.json()
        detail, code = str(said["detail"])[:300], said.get("code")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        detail, code = answer.reason_phrase, None
    refused = answer.status_code in {413, 415, 422} or code == "not_found"
    return (WorkerRefusedError if refused else WorkerError)(
        f"the remote worker answered {answer.status_code}: {detail}"
    )
