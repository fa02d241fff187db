"""Stemset's `config.yaml`, with the environment and the `.env` file beside it put in."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values
from dotenv.variables import parse_variables
from pydantic import TypeAdapter, ValidationError

from stemwright.app._settings_file import LONGEST, parse, substitute, untrusted
from stemwright.bounded_yaml import LIMITS
from stemwright.disk import ForeignFileError, read_found
from stemwright.doors.stemset.config import ConfigFileError, DoorConfig, Stemset, make
from stemwright.doors.stemset.worker import WorkerRules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.app.settings import Settings
    from stemwright.errors import UntrustedFileError


_BYPASS: Final = "STEMSET_BYPASS_AUTH"


def load_stemset(path: Path, settings: Settings, *, found: bool = False) -> Stemset:
    """Read a configuration; `found`: nobody named it.

    Raises `ConfigFileError`, which names all variables that are missing at once, `UntrustedFileError`.
    """
    with _told_as_ours(path):
        tree, twice = parse(path, found=found)
        whole = substitute(tree, environ=_beside(path, found=found) | dict(os.environ))
    faults = list(twice)
    if whole.missing:
        faults.append(f"{path}: variables that are not set, here or in .env: {', '.join(whole.missing)}")
    faults += [f"{path}: {place}: a ${{ that is no ${{NAME}} or ${{NAME:-text}}" for place in whole.malformed]
    if faults:
        raise ConfigFileError("; ".join(faults))
    return make(whole.tree, path=path, media=settings.stemset.media, repo=settings.model.repo)


def _untrusted(error: ForeignFileError) -> UntrustedFileError:
    named = not str(error.filename).endswith(".env")
    return untrusted(
        error, remedy="name it by --config or stemset.config" if named else "set its variables in the environment"
    )


def _beside(config: Path, *, found: bool = False) -> dict[str, str]:
    """The variables of the `.env` file beside a configuration; who wrote one that was named may have written both.

    Raises `ForeignFileError`, OSError, ValueError.
    """
    return _dotenv(config.parent / ".env", owner=None if found else config.stat().st_uid)


def _dotenv(path: Path, *, owner: int | None) -> dict[str, str]:
    """The variables of a `.env` file, which may name one another; none where there is no file.

    Raises `ForeignFileError`, OSError, ValueError when they are longer than `LONGEST` together: each may hold the one
    before it twice.
    """
    if not path.exists():
        return {}
    text = io.StringIO(read_found(path, most=LIMITS.size_bytes, owner=owner).decode("utf-8", "replace"))
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


@contextlib.contextmanager
def _told_as_ours(path: Path) -> Iterator[None]:
    """Say which file cannot be read or makes no sense. Raises `ConfigFileError`, `UntrustedFileError`."""
    try:
        yield
    except ForeignFileError as error:
        raise _untrusted(error) from error
    except OSError as error:
        raise ConfigFileError(f"{error.filename or path}: {error.strerror or 'it cannot be read'}") from error
    except ValueError as error:
        raise ConfigFileError(f"{path}: {error}") from error


def _bypass(settings: Settings) -> bool | None:
    """What the settings say of signing in, else the file `.env`; None where neither does. Raises `ConfigFileError`."""
    own = settings.stemset
    if own.bypass_auth is not None or own.config is None:
        return own.bypass_auth
    path = own.config.parent / ".env"
    with _told_as_ours(path):
        said = _beside(own.config).get(_BYPASS) or None
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
