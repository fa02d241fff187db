"""`models.lock`: digests of files whose publisher does not state any, as they were when first fetched."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final

from stemwright.disk import read_json, write_whole
from stemwright.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.types import Digest

NAME: Final = "models.lock"


def pinned(cache: Path, url: str) -> Digest | None:
    """The digest that a URL had when it was first fetched. Raises `WeightsError` when the file makes no sense."""
    return _read(cache / NAME).get(url)


def pin(cache: Path, url: str, digest: Digest) -> None:
    """Remember a digest; only one process at a time may do so. Raises `WeightsError`."""
    path = cache / NAME
    files = _read(path) | {url: digest}
    write_whole(path, (json.dumps({"version": 1, "sha256": files}, indent=2, sort_keys=True) + "\n").encode())


def _read(path: Path) -> dict[str, Digest]:
    try:
        if path.lstat().st_uid not in {0, os.geteuid()}:
            raise ValueError("it belongs to another user")
        files = read_json(path)["sha256"]
        if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in files.values()):
            raise ValueError("a digest is no SHA-256")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); delete it to pin what is fetched from now on") from error
    return dict(files)
