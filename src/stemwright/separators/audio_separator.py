"""The models of `audio-separator` (MDX-Net, VR, MDX23C, RoFormer) by their files' names, each in a child process.

The package stays out of ours: its own environment will do (docs/models.md), since nothing but samples goes over the
pipes to the process that runs a model with the package's networks.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stemwright.disk import sha256_of
from stemwright.errors import ModelUnavailableError, UnknownModelError, WeightsError
from stemwright.separators import _audio_separator_models as models_
from stemwright.separators._audio_separator_process import give_back, take
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec
from stemwright.weights.config import current

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from stemwright.types import Digest
    from stemwright.weights.config import OnProgress


class AudioSeparatorFamily:
    """The models that `audio-separator` lists, and those in a local folder."""

    name = models_.FAMILY

    def models(self) -> tuple[ModelInfo, ...]:
        """Those of the package's lists; none without the package. Raises `ModelUnavailableError`."""
        return tuple(model.info for model in models_.known().values())

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:
        """Whether the package and the files are here. Looks at the disk only; raises nothing."""
        if models_.find_package() is None:
            return "missing"
        if repo is not None:
            return "ready" if models_.in_folder(name, repo) else "missing"
        model = models_.find(name)
        if model is None:
            return "missing"
        if models_.cached(model):
            return "ready"
        return "missing" if current().offline else "download"

    def pull(self, name: str, /, *, on_progress: OnProgress | None = None, again: bool = False) -> None:
        """Download what `load` needs. Raises `UnknownModelError`, `ModelUnavailableError`, `WeightsError`."""
        models_.fetch(_known(name), on_progress=on_progress, again=again)

    def load(self, name: str, /, options: LoadOptions) -> AudioSeparator:
        """Load a model, from `options.repo` or else from the cache or its publisher, into a process of its own.

        Raises `UnknownModelError`, `ModelUnavailableError`, `WeightsError`, `DeviceUnavailableError`, `OptionError`.
        """
        package = models_.find_package()
        if package is None:
            raise ModelUnavailableError(f"{name} needs audio-separator, which is not here (see docs/models.md)")
        if options.repo is None:
            files: models_.Files | None = models_.fetch(_known(name))
        else:
            files = models_.in_folder(name, options.repo)
        if files is None:
            raise ModelUnavailableError(
                f"{name} is not in {options.repo}, or the YAML is not that says what it is (see docs/models.md)"
            )
        return AudioSeparator(name, files, package=package, options=options)


FAMILY: Final = AudioSeparatorFamily()


class AudioSeparator:
    """A model in a process of its own."""

    batch_size = 1

    def __init__(self, name: str, files: models_.Files, *, package: models_.Package, options: LoadOptions) -> None:
        """Load it. Raises what the process says is wrong."""
        self._name = name
        data = models_.read_data(files)
        self._process = take(package.python)
        weakref.finalize(self, give_back, self._process)
        answer, _ = self._process.ask(
            name,
            {
                "weights": str(files.weights),
                "data": data,
                "device": options.device,
                "segment": options.segment,
                "raw": options.raw,
            },
        )
        given: dict[str, Any] = answer["spec"]
        stems = tuple(given.pop("stems"))
        self.device = str(given.pop("device"))
        info, digest = _info(name, options.repo, stems), _digest(files, data)
        self.spec = ModelSpec(info=info, stems=stems, weights_digest=digest, **given)

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks. Input: `[B, C, T]` float32. Output: `[B, S, C, T]` float32.

        Raises `ModelFailedError`, and `OutOfMemoryError` also where the system has killed the process.
        """
        body = np.ascontiguousarray(chunks, np.float32).tobytes()
        answer, samples = self._process.ask(self._name, {"shape": chunks.shape}, body)
        return np.frombuffer(samples, np.float32).reshape(answer["shape"])

    def with_less_memory(self) -> None:
        """It has no smaller setting that it could be sure of."""


def _known(name: str) -> models_.Known:
    listed = models_.known()
    if name not in listed:
        raise UnknownModelError(f"audio-separator lists no model {name!r} that can be downloaded")
    return listed[name]


def _info(name: str, repo: Path | None, stems: tuple[str, ...]) -> ModelInfo:
    if repo is None:
        return replace(_known(name).info, stems=stems)
    summary = f"model of audio-separator's from the folder {repo.name}"
    return ModelInfo(
        name=name, family=models_.FAMILY, summary=summary, stems=stems, licence="unknown", source=str(repo)
    )


def _digest(files: models_.Files, data: dict[str, Any]) -> Digest:
    """SHA-256 over weights and what their data say; it does not depend on where they are. Raises `WeightsError`."""
    try:
        weights = sha256_of(files.weights)
    except OSError as error:
        raise WeightsError(f"{files.weights} cannot be read: {error.strerror}") from error
    return hashlib.sha256((weights + json.dumps(data, sort_keys=True)).encode()).hexdigest()
