"""The engine process: `python -m stemwright.app.engine [FOLDER]`; started by the executor and the API, never by hand.

The folder is for the temporary files of it and its children; the process that kills them removes it.
"""

from __future__ import annotations

import os
import sys

from stemwright.app.process import keep_private, prepare, prepare_failpoints

if __name__ == "__main__":
    if sys.argv[1:]:
        os.environ["TMPDIR"] = sys.argv[1]  # before anybody asks for it
    keep_private()
    prepare()
    prepare_failpoints("engine")
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.engine.process.child import run

    use_weights(load_settings(file=False, doors=False))
    run()
