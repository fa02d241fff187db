"""Stemset's `config.yaml`: profiles and how they are processed, its strategies, the address of a remote worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from stemwright.audio.formats import parse_format
from stemwright.doors.stemset.worker import WorkerRules, check_address
from stemwright.errors import NotFoundError, OptionError, StemwrightError
from stemwright.strategies.check import check
from stemwright.strategies.draw import as_json
from stemwright.strategies.find import find_strategy, is_strategy
from stemwright.strategies.read import read_file

if TYPE_CHECKING:
    from stemwright.audio.formats import Format
    from stemwright.strategies.tree import Strategy
    from stemwright.types import Seconds

_FORMATS: Final = {"aac": "m4a"}  # as Stemset calls it
ProfileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]


class ConfigFileError(OptionError):
    """Stemset's configuration cannot be used."""

    code = "bad_config"


class UnknownProfileError(NotFoundError):
    """There is no such profile."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Output(_Record):
    """`OutputConfig`."""

    format: Literal["opus", "wav", "flac", "mp3", "m4a", "aac"] = "opus"
    bitrate: int | None = Field(default=None, ge=6, le=512)  # kbit/s, of a lossy format

    @model_validator(mode="after")
    def _possible(self) -> Output:
        try:
            self.codec.check_bitrate(self.bits)
        except OptionError as error:
            raise ValueError(error.message) from None
        return self

    @property
    def codec(self) -> Format:
        """The format as the encoder knows it."""
        return parse_format(_FORMATS.get(self.format, self.format))

    @property
    def bits(self) -> int | None:
        """The bit rate in bits/s; None for the format's own, and for a lossless one."""
        return None if self.bitrate is None or self.codec.bitrates is None else self.bitrate * 1000


class Profile(_Record):
    """`Profile`."""

    name: ProfileName
    source_folder: str
    strategy: str
    output: Output = Output(bitrate=192)
    remote: bool = False


class _Auth(_Record):
    """`AuthConfig`: read, and kept for the sign-in that is to come."""

    google_client_id: str
    google_client_secret: str
    jwt_secret: str
    allowed_emails: list[str]
    redirect_uri: str | None = None


class _R2(_Record):
    """`R2Config`: read, and not used: files stay in the folder `media`."""

    account_id: str
    access_key_id: str
    secret_access_key: str
    bucket_name: str
    public_url: str | None = None


class _File(_Record):
    strategies: dict[str, Any] = Field(default_factory=dict)  # read by `strategies/`, with their lines
    profiles: list[Profile] = Field(default_factory=list)
    auth: _Auth | None = None
    r2: _R2 | None = None
    gpu_worker_url: str | None = None

    @field_validator("gpu_worker_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if not url:
            return None
        try:
            check_address(url)
        except ValueError:
            raise ValueError("give the address of a Stemwright server, such as https://gpu.example.org") from None
        return url.rstrip("/")

    @model_validator(mode="after")
    def _agrees(self) -> _File:
        names = [profile.name for profile in self.profiles]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"profiles: {', '.join(sorted(twice))} is there more than once")
        remote = [profile.name for profile in self.profiles if profile.remote]
        if remote and not self.gpu_worker_url:
            raise ValueError(f"gpu_worker_url is needed for the remote profile {remote[0]}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Stemset:
    """A whole configuration, checked."""

    path: Path
    media: Path
    profiles: tuple[Profile, ...]
    worker_url: str | None
    own: dict[str, Strategy]  # the strategies of the file
    repo: Path | None = None  # a folder of weights
    uses_r2: bool = False
    has_auth: bool = False  # people are to sign in

    def profile(self, name: str) -> Profile:
        """A profile by its name. Raises `UnknownProfileError`."""
        for profile in self.profiles:
            if profile.name == name:
                return profile
        raise UnknownProfileError(f"Profile '{name[:64]}' not found")

    def source_folder(self, profile: Profile) -> Path:
        """Where a profile's recordings are; a relative folder is one beside the file."""
        return self.path.parent / Path(profile.source_folder).expanduser()

    def strategy(self, profile: Profile) -> Strategy | None:
        """The tree of a profile; None where it names a single model."""
        if profile.strategy in self.own:
            return self.own[profile.strategy]
        return (
            find_strategy(profile.strategy, repo=self.repo) if is_strategy(profile.strategy, repo=self.repo) else None
        )

    def check_shared(self, profile: Profile) -> None:
        """Make sure that jobs, which name their strategy, mean by that name what this file does. Raises `OptionError`.

        They know the strategies of the package, and those in `strategies.yaml` in the folder of weights.
        """
        mine = self.own.get(profile.strategy)
        if mine is None:
            return
        if is_strategy(mine.name, repo=self.repo):
            theirs = find_strategy(mine.name, repo=self.repo)
            if as_json(theirs, repo=self.repo)["tree"] == as_json(mine, repo=self.repo)["tree"]:
                return
        raise OptionError(
            f"the strategy {mine.name} is one of {self.path.name} alone: uploads know those of the package, and those "
            "in strategies.yaml in model.repo; `stemwright process` knows it"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorConfig:
    """What the door needs to know."""

    stemset: Stemset | None
    state: Path  # notes about uploads
    public_url: str | None = None
    worker_secret: str | None = None
    worker: WorkerRules = field(default_factory=WorkerRules)
    ask_worker: Seconds = 30.0  # between two looks at a remote job that should have called


def make(tree: object, *, path: Path, media: Path | None, repo: Path | None) -> Stemset:
    """A configuration from the parsed file, variables put in; every strategy that a profile uses is checked.

    Raises `ConfigFileError` naming all that is wrong at once.
    """
    try:
        file = _File.model_validate(tree)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or path.name}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigFileError(f"{path}: {'; '.join(faults)}") from None
    try:
        own = _own(path, repo=repo) if file.strategies else {}
    except StemwrightError as error:
        raise ConfigFileError(error.message) from error
    stemset = Stemset(
        path=path,
        media=media or path.parent / "media",
        profiles=tuple(file.profiles),
        worker_url=file.gpu_worker_url,
        own=own,
        repo=repo,
        uses_r2=file.r2 is not None,
        has_auth=file.auth is not None,
    )
    wrong = [fault for profile in stemset.profiles if not profile.remote and (fault := _fault(stemset, profile))]
    if wrong:
        raise ConfigFileError(f"{path}: {'; '.join(wrong)}")
    return stemset


def _own(path: Path, *, repo: Path | None) -> dict[str, Strategy]:
    book = read_file(path)
    own = {name: book.strategy(name) for name in book.names}
    for strategy in own.values():
        check(strategy, repo=repo)
    return own


def _fault(stemset: Stemset, profile: Profile) -> str | None:
    """What is wrong with a profile's strategy."""
    from stemwright.separators import catalogue

    try:
        if stemset.strategy(profile) is None and profile.strategy != "auto":
            catalogue.find_model(profile.strategy, repo=stemset.repo)
    except StemwrightError as error:
        return f"profile {profile.name}: {error.message}"
    return None
