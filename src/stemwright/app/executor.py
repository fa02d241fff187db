"""The executor process: `python -m stemwright.app.executor`; started and watched over by `stemwright serve`."""

from __future__ import annotations

from stemwright.app.process import prepare, prepare_points


def main() -> None:
    """Work until the parent says so or is gone."""
    from stemwright.app.log import set_up_logs
    from stemwright.app.settings import load_settings
    from stemwright.app.wiring import database_url, jobs_config, open_store
    from stemwright.jobs.executor import run_executor
    from stemwright.library.database import Database

    settings = load_settings()
    set_up_logs(form=settings.log.format, level=settings.log.level, process="executor")
    config = jobs_config(settings)
    config.work.mkdir(exist_ok=True, mode=0o700)
    run_executor(Database(database_url(settings.data)), open_store(settings), config, executor_id="local")


if __name__ == "__main__":
    prepare()
    prepare_points("executor")
    main()
