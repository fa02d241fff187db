"""The engine process: `python -m stemwright.app.engine`; started by the executor and by the API, never by hand."""

from __future__ import annotations

from stemwright.app.process import prepare, prepare_points

if __name__ == "__main__":
    prepare()
    prepare_points("engine")
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.jobs.child import run

    use_weights(load_settings())
    run()
