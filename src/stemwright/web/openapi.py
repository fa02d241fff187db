"""Prints the description of the API, which docs/openapi.json keeps: `python -m stemwright.web.openapi`."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from stemwright.web.app import create_app
from stemwright.web.common import WebConfig


def describe() -> str:
    """The OpenAPI document as it is written down; `version` is left out, so that it changes with the API only."""
    nobody: Any = cast("Any", None)  # describing asks no studio
    document = create_app(nobody, WebConfig()).openapi()
    document["info"]["version"] = "1"
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(describe())
