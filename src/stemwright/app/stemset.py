"""Stemset's `config.yaml`, with the environment and the `.env` file beside it put in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from stemwright.app._settings_file import _parse, substitute
from stemwright.doors.stemset.config import ConfigFileError, DoorConfig, Stemset, make
from stemwright.doors.stemset.worker import WorkerRules

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.app.settings import Settings


def load_stemset(path: Path, settings: Settings) -> Stemset:
    """Read a configuration. Raises `ConfigFileError`, which names all variables that are missing at once."""
    try:
        tree, twice = _parse(path)
    except OSError as error:
        raise ConfigFileError(f"{path}: {error.strerror or 'it cannot be read'}") from error
    except RecursionError:
        raise ConfigFileError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise ConfigFileError(f"{path}: {error}") from error
    known = {name: value for name, value in dotenv_values(path.parent / ".env").items() if value is not None}
    whole = substitute(tree, environ=known | dict(os.environ))
    faults = list(twice)
    if whole.missing:
        faults.append(f"{path}: variables that are not set, here or in .env: {', '.join(whole.missing)}")
    faults += [f"{path}: {place}: a ${{ that is no ${{NAME}} or ${{NAME:-text}}" for place in whole.malformed]
    if faults:
        raise ConfigFileError("; ".join(faults))
    return make(whole.tree, path=path, media=settings.stemset.media, repo=settings.model.repo)


def door_config(settings: Settings) -> DoorConfig:
    """What the door stemset needs to know. Raises `ConfigFileError`."""
    own, secret = settings.stemset, settings.stemset.worker_secret
    return DoorConfig(
        stemset=load_stemset(own.config, settings) if own.config else None,
        state=settings.data / "stemset",
        bypass_auth=own.bypass_auth,
        public_url=own.public_url,
        worker_secret=secret.get_secret_value() if secret else None,
        worker=worker_rules(settings),
    )


def worker_rules(settings: Settings) -> WorkerRules:
    """What a remote worker may cost."""
    return WorkerRules(
        allow=settings.callbacks.allow,
        timeout=settings.stemset.worker_timeout,
        max_bytes=settings.stemset.worker_max_bytes,
        max_duration=settings.max_duration,
        max_decoded_bytes=settings.max_decoded_bytes,
    )
