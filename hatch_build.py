"""The build hook: a wheel without the player's page is no wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src/stemwright/web/page/index.html")


class PageHook(BuildHookInterface[Any]):
    """Refuses to build a distribution while the page is not built; an editable installation may do without."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Check that the page is there. Raises `RuntimeError`."""
        if version != "editable" and not (Path(self.root) / PAGE).is_file():
            raise RuntimeError(
                f"{PAGE} is missing: build the player first, with Node 20 or newer: "
                "`make player`, or `npm install --no-save && npm run build` in player/"
            )
