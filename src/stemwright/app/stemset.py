"""Stemset's `config.yaml`, with the environment and the `.env` file beside it put in."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values
from dotenv.variables import parse_variables
from pydantic import TypeAdapter, ValidationError

from stemwright.app._settings_file import LONGEST, parse, substitute
from stemwright.bounded_yaml import LIMITS
from stemwright.disk import read_small
from stemwright.doors.stemset.config import ConfigFileError, DoorConfig, Stemset, make
from stemwright.doors.stemset.worker import WorkerRules

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.app.settings import Settings


_BYPASS: Final = "STEMSET_BYPASS_AUTH"


def load_stemset(path: Path, settings: Settings) -> Stemset:
    """Read a configuration. Raises `ConfigFileError`, which names all variables that are missing at once."""
    try:
        tree, twice = parse(path)
        whole = substitute(tree, environ=_dotenv(path.parent / ".env") | dict(os.environ))
    except OSError as error:
        raise ConfigFileError(f"{error.filename or path}: {error.strerror or 'it cannot be read'}") from error
    except ValueError as error:
        raise ConfigFileError(f"{path}: {error}") from error
    faults = list(twice)
    if whole.missing:
        faults.append(f"{path}: variables that are not set, here or in .env: {', '.join(whole.missing)}")
    faults += [f"{path}: {place}: a ${{ that is no ${{NAME}} or ${{NAME:-text}}" for place in whole.malformed]
    if faults:
        raise ConfigFileError("; ".join(faults))
    return make(whole.tree, path=path, media=settings.stemset.media, repo=settings.model.repo)


def _dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file, which may name one another; none where there is no file.

    Raises OSError, ValueError when they are longer than `LONGEST` together: each may hold the one before it twice.
    """
    if not path.exists():
        return {}
    text = io.StringIO(read_small(path, most=LIMITS.size_bytes).decode("utf-8", "replace"))
    known: dict[str, str] = {}
    length = 0
    for name, value in dotenv_values(stream=text, interpolate=False).items():
        pieces = []
        for atom in parse_variables(value or ""):
            pieces.append(atom.resolve({**os.environ, **known}))
            length += len(pieces[-1])
            if length > LONGEST:
                raise ValueError(f"{path.name}: more than {LONGEST} characters with its variables")
        if value is not None:
            known[name] = "".join(pieces)
    return known


def door_config(settings: Settings) -> DoorConfig:
    """What the door stemset needs to know.

    Raises `ConfigFileError`, also where people are to sign in: that is not there yet, and all would be let in.
    """
    own, secret = settings.stemset, settings.stemset.worker_secret
    stemset = load_stemset(own.config, settings) if own.config else None
    bypass = _bypass(settings)
    if bypass is False or (bypass is None and stemset is not None and stemset.has_auth):
        raise ConfigFileError(
            "people are to sign in at the door stemset, which is not there yet, and all would be let in: if that is "
            "meant, set stemset.bypass_auth: true (STEMSET_BYPASS_AUTH=true)"
        )
    return DoorConfig(
        stemset=stemset,
        state=settings.data / "stemset",
        public_url=own.public_url,
        worker_secret=secret.get_secret_value() if secret else None,
        worker=worker_rules(settings),
    )


def _bypass(settings: Settings) -> bool | None:
    """What the settings say of signing in, else the file `.env`; None where neither does. Raises `ConfigFileError`."""
    own = settings.stemset
    if own.bypass_auth is not None or own.config is None:
        return own.bypass_auth
    path = own.config.parent / ".env"
    try:
        said = _dotenv(path).get(_BYPASS) or None
    except OSError as error:
        raise ConfigFileError(f"{path}: {error.strerror or 'it cannot be read'}") from error
    except ValueError as error:
        raise ConfigFileError(f"{path}: {error}") from error
    try:
        return TypeAdapter(bool | None).validate_python(said)
    except ValidationError:
        raise ConfigFileError(f"{path}: {_BYPASS}: give true or false") from None


def worker_rules(settings: Settings) -> WorkerRules:
    """What a remote worker may cost."""
    return WorkerRules(
        allow=settings.callbacks.allow,
        timeout=settings.stemset.worker_timeout,
        max_bytes=settings.stemset.worker_max_bytes,
        max_duration=settings.max_duration,
        max_decoded_bytes=settings.max_decoded_bytes,
    )
