"""Prints the description of the API, which docs/openapi.json keeps: `python -m stemwright.web.openapi`."""

from __future__ import annotations

import json
import sys

from stemwright.web.app import api


def describe() -> str:
    """The OpenAPI document as it is written down; `version` is left out, so that it changes with the API only."""
    document = api().openapi()
    document["info"]["version"] = "1"
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(describe())
