"""Stemset's `config.yaml`, with the environment and the `.env` file beside it put in."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values
from dotenv.variables import parse_variables
from pydantic import TypeAdapter, ValidationError

from stemwright.bounded_yaml import LIMITS
from stemwright.disk import ForeignFileError, read_found
from stemwright.doors.stemset.config import ConfigFileError, DoorConfig, Stemset, make
from stemwright.doors.stemset.worker import WorkerRules
from stemwright.setting_files import LONGEST, parse, substitute, untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stemwright.doors.stemset.settings import Settings
    from stemwright.errors import UntrustedFileError
    from stemwright.studio.config import JobsConfig
    from stemwright.types import Seconds


_BYPASS: Final = "STEMSET_BYPASS_AUTH"


def load_stemset(
    path: Path,
    *,
    environ: Mapping[str, str],
    media: Path | None = None,
    repo: Path | None = None,
    found: bool = False,
) -> Stemset:
    """Read a configuration with the variables of `environ`; `found`: nobody named it.

    Raises `ConfigFileError`, which names all variables that are missing at once, `UntrustedFileError`.
    """
    with _told_as_ours(path):
        tree, twice = parse(path, found=found)
        whole = substitute(tree, environ=_beside(path, environ=environ, found=found) | dict(environ))
    faults = list(twice)
    if whole.missing:
        faults.append(f"{path}: variables that are not set, here or in .env: {', '.join(whole.missing)}")
    faults += [f"{path}: {place}: a ${{ that is no ${{NAME}} or ${{NAME:-text}}" for place in whole.malformed]
    if faults:
        raise ConfigFileError("; ".join(faults))
    return make(whole.tree, path=path, media=media, repo=repo)


def _untrusted(error: ForeignFileError) -> UntrustedFileError:
    named = not str(error.filename).endswith(".env")
    return untrusted(
        error, remedy="name it by --config or stemset.config" if named else "set its variables in the environment"
    )


def _beside(config: Path, *, environ: Mapping[str, str], found: bool = False) -> dict[str, str]:
    """The variables of the `.env` file beside a configuration; who wrote one that was named may have written both.

    Raises `ForeignFileError`, OSError, ValueError.
    """
    return _dotenv(config.parent / ".env", environ=environ, owner=None if found else config.stat().st_uid)


def _dotenv(path: Path, *, environ: Mapping[str, str], owner: int | None) -> dict[str, str]:
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
            pieces.append(atom.resolve({**environ, **known}))
            length += len(pieces[-1])
            if length > LONGEST:
                raise ValueError(f"{path.name}: more than {LONGEST} characters with its variables")
        if value is not None:
            known[name] = "".join(pieces)
    return known


def door_config(settings: Settings, jobs: JobsConfig, *, home: Path) -> DoorConfig:
    """What the door needs to know; `home` is its folder.

    Raises `ConfigFileError`, also where people are to sign in: that is not there yet, and all would be let in.
    """
    secret, stemset = settings.worker_secret, None
    if settings.config:
        stemset = load_stemset(settings.config, environ=jobs.environment, media=settings.media, repo=jobs.repo)
    bypass = _bypass(settings, environ=jobs.environment)
    if bypass is False or (bypass is None and stemset is not None and stemset.has_auth):
        why = "stemset.bypass_auth is false" if bypass is False else f"{settings.config} has auth"
        raise ConfigFileError(
            f"{why}, and the door stemset cannot make people sign in yet, so the server does not start; to let "
            "everybody in who reaches it, set stemset.bypass_auth: true (STEMSET_BYPASS_AUTH=true)"
        )
    rules = worker_rules(
        settings,
        allow=jobs.callback_allow,
        max_duration=jobs.limits.duration,
        max_decoded_bytes=jobs.max_decoded_bytes,
    )
    return DoorConfig(
        stemset=stemset,
        state=home,
        public_url=settings.public_url,
        worker_secret=secret.get_secret_value() if secret else None,
        worker=rules,
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


def _bypass(settings: Settings, *, environ: Mapping[str, str]) -> bool | None:
    """What the settings say of signing in, else the file `.env`; None where neither does. Raises `ConfigFileError`."""
    if settings.bypass_auth is not None or settings.config is None:
        return settings.bypass_auth
    path = settings.config.parent / ".env"
    with _told_as_ours(path):
        said = _beside(settings.config, environ=environ).get(_BYPASS) or None
    try:
        return TypeAdapter(bool | None).validate_python(said)
    except ValidationError:
        raise ConfigFileError(f"{path}: {_BYPASS}: give true or false") from None


def worker_rules(
    settings: Settings, *, allow: tuple[str, ...], max_duration: Seconds, max_decoded_bytes: int
) -> WorkerRules:
    """What a remote worker may cost."""
    return WorkerRules(
        allow=allow,
        timeout=settings.worker_timeout,
        max_bytes=settings.worker_max_bytes,
        max_duration=max_duration,
        max_decoded_bytes=max_decoded_bytes,
    )
