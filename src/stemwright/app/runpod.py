"""A worker on RunPod: `python -P -m stemwright.app.runpod`; with `--rp_serve_api` the SDK's own local server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stemwright.app.process import keep_private, prepare
from stemwright.app.settings import load_settings
from stemwright.app.weights import use_weights
from stemwright.errors import SetupError, StemwrightError

if TYPE_CHECKING:
    from stemwright.app.settings import Settings
    from stemwright.doors.runpod.config import Config


def door_config(settings: Settings) -> Config:
    """What the door runpod needs to know."""
    from stemwright.doors.runpod.config import Config, Storage

    own = settings.runpod
    secret = own.secret_access_key
    models = {"2stems": own.model_2stems, "4stems": own.model_4stems, "5stems": own.model_5stems}
    return Config(
        storage=Storage(
            url=own.storage or f"file://{settings.data / 'runpod'}",
            endpoint=own.endpoint,
            region=own.region,
            access_key_id=own.access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            link_seconds=own.link_seconds,
            public_url=own.public_url,
        ),
        models=models,
        max_duration=own.max_duration,
        keep_seconds=settings.retention.results_days * 86_400,
        allow=settings.callbacks.allow,
    )


def main() -> int:
    """Serve jobs until RunPod, or Ctrl-C, ends it. The arguments are the SDK's."""
    keep_private()
    prepare()
    try:
        settings = load_settings()
        try:
            import runpod
        except ModuleNotFoundError as error:
            raise SetupError(f"a worker needs {error.name}: pip install 'stemwright[server,runpod]'") from error
        from stemwright.doors.runpod.config import WorkerConfig
        from stemwright.doors.runpod.handler import make_handler

        use_weights(settings)
        handler = make_handler(
            WorkerConfig(
                door=door_config(settings),
                device=settings.model.device,
                repo=settings.model.repo,
                limits=settings.limits(),
                max_bytes=settings.upload_max_bytes,
            )
        )
    except StemwrightError as error:
        sys.stderr.write(f"error: {error.message} [{error.code}]\n")
        return 1 if isinstance(error, SetupError) else 2
    runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
