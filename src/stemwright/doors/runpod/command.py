"""`stemwright runpod-worker`: a worker on RunPod; with `--rp_serve_api` the SDK's own local server."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer


def runpod_worker(context: typer.Context) -> None:
    """Serve jobs of RunPod, until it or Ctrl-C ends this. The arguments are those of RunPod's SDK."""
    from stemwright.app.process import keep_private
    from stemwright.errors import SetupError, StemwrightError

    keep_private()
    try:
        start, handler = _prepared()
    except StemwrightError as error:
        typer.echo(f"error: {error.message} [{error.code}]", err=True)
        raise typer.Exit(1 if isinstance(error, SetupError) else 2) from error
    sys.argv = [sys.argv[0], *context.args]  # where the SDK looks for its arguments
    start({"handler": handler, "return_aggregate_stream": True})


COMMANDS: Final = {"runpod-worker": runpod_worker}
CONTEXT_SETTINGS: Final = {"runpod-worker": {"allow_extra_args": True, "ignore_unknown_options": True}}


def _prepared() -> tuple[Any, Any]:
    """What starts the SDK, and our handler. Raises `SetupError`, `OptionError`."""
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.app.wiring import open_store
    from stemwright.errors import SetupError

    settings = load_settings()
    try:
        import runpod
    except ModuleNotFoundError as error:
        raise SetupError(f"a worker needs {error.name}: pip install 'stemwright[server,runpod]'") from error
    from stemwright.doors.runpod.config import WorkerConfig, config_of
    from stemwright.doors.runpod.handler import make_handler
    from stemwright.doors.runpod.results import ResultStore

    use_weights(settings)
    config = WorkerConfig(
        door=config_of(
            settings.door("runpod"),
            keep_seconds=settings.retention.results_days * 86_400,
            allow=settings.callbacks.allow,
        ),
        device=settings.model.device,
        repo=settings.model.repo,
        limits=settings.limits(),
        max_bytes=settings.upload_max_bytes,
    )
    store = ResultStore(open_store(settings), config.door, home=settings.data / "runpod")
    return runpod.serverless.start, make_handler(config, store)
