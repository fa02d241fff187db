"""A worker of a fleet whose engine does nothing: what is measured is all the rest. `benchmarks.fleet` starts it.

Apart from its engine it is `stemwright worker`, put together of the same parts.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from stemwright.app.executor import run
from stemwright.app.process import keep_private, prepare
from stemwright.app.settings import load_settings
from stemwright.app.wiring import jobs_config, role_of
from stemwright.disk import make_private
from stemwright.studio.work.liveness import fresh_id

ENGINE: Final = Path(__file__).parent.parent / "tests" / "engine" / "process" / "child_for_tests.py"


def main(data: str) -> None:
    """Work until SIGTERM, with a folder of its own."""
    keep_private()
    prepare()
    os.environ["STEMWRIGHT_DATA"] = data
    settings = load_settings(doors=False)
    make_private(settings.data)
    config = replace(jobs_config(settings), engine_command=(sys.executable, "-S", str(ENGINE)))
    run(settings, config, role_of(settings, config, queue="cpu", name=fresh_id(), child=False))


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--data") + 1])
