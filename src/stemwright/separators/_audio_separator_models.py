"""Which models `audio-separator` knows, by the files of its package, and where their publishers keep them."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from stemwright.bounded_yaml import LIMITS, YamlError, load
from stemwright.disk import read_small
from stemwright.errors import ModelUnavailableError, WeightsError
from stemwright.separators._audio_separator_child import slot
from stemwright.separators.protocol import ModelInfo
from stemwright.weights import store

if TYPE_CHECKING:
    from stemwright.types import StemName
    from stemwright.weights.config import OnProgress

FAMILY: Final = "audio-separator"
TABLES: Final = ("mdx_model_data.json", "vr_model_data.json")  # as audio-separator calls them in its folder
_HASHED: Final = 10_000 * 1024  # bytes at the end of a file, of which the tables know the MD5
_PUBLIC: Final = "https://github.com/TRvlvr/model_repo/releases/download/all_public_uvr_models"
_OWN: Final = "https://github.com/nomadkaraoke/python-audio-separator/releases/download/model-configs"
_DATA: Final = "https://raw.githubusercontent.com/TRvlvr/application_data"
_TABLE_URLS: Final = (  # of one state each, so that a digest can be pinned
    f"{_DATA}/3b266af0855dde10f5830aa40e512ce1eeadb9a7/mdx_model_data/model_data_new.json",
    f"{_DATA}/b61f370d15b9a0590bf344cd2f766731e3a3a8c7/vr_model_data/model_data_new.json",
)
_CONFIGS: Final = {  # of the models that are in UVR's list, and not in that of the package
    "MDX23C-8KFFT-InstVoc_HQ.ckpt": "model_2_stem_full_band_8k.yaml",
    "model_bs_roformer_ep_317_sdr_12.9755.ckpt": "model_bs_roformer_ep_317_sdr_12.9755.yaml",
    "model_bs_roformer_ep_368_sdr_12.9628.ckpt": "model_bs_roformer_ep_368_sdr_12.9628.yaml",
    "model_bs_roformer_ep_937_sdr_10.5309.ckpt": "model_bs_roformer_ep_937_sdr_10.5309.yaml",
    "model_mel_band_roformer_ep_3005_sdr_11.4360.ckpt": "model_mel_band_roformer_ep_3005_sdr_11.4360.yaml",
    "melband_roformer_inst_v1.ckpt": "config_melbandroformer_inst.yaml",
    "melband_roformer_inst_v2.ckpt": "config_melbandroformer_inst_v2.yaml",
    "melband_roformer_instvoc_duality_v1.ckpt": "config_melbandroformer_instvoc_duality.yaml",
    "melband_roformer_instvox_duality_v2.ckpt": "config_melbandroformer_instvoc_duality.yaml",
}
_KINDS: Final = {  # in the package's list: what a model is, its bytes and its cost, both about
    "vr_download_list": ("VR", 120_000_000, 0.5),
    "mdx_download_list": ("MDX-Net", 65_000_000, 0.5),
    "mdx23c_download_list": ("MDX23C", 450_000_000, 2.0),
    "roformer_download_list": ("RoFormer", 900_000_000, 4.0),
}
_PREFIXES: Final = {"VR": "vr", "MDX-Net": "mdx", "MDX23C": "mdx23c", "Roformer": "roformer"}


@dataclass(frozen=True, slots=True)
class Package:
    """An installed `audio-separator`."""

    python: Path  # that runs it
    folder: Path


@dataclass(frozen=True, slots=True)
class Files:
    """What a model is loaded from."""

    weights: Path
    config: Path | None  # the YAML that says all of it; without one, the tables do
    tables: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A model in the package's lists."""

    info: ModelInfo
    config: str | None  # the name of its YAML

    def remotes(self) -> list[tuple[store.Remote, ...]]:
        """What a load needs: weights, and YAML or tables; each with the places where it may be, in order."""
        name = self.info.name
        urls: list[tuple[str, ...]] = [(f"{_PUBLIC}/{name}", f"{_OWN}/{name}")]
        urls += [(f"{_OWN}/{self.config}",)] if self.config else [(url,) for url in _TABLE_URLS]
        return [tuple(store.Remote(model=name, url=url) for url in places) for places in urls]


def find_package() -> Package | None:
    """`audio-separator` among our own packages, or else in the environment `audio-separator` inside of ours."""
    found = importlib.util.find_spec("audio_separator")
    if found is not None and found.submodule_search_locations:
        return Package(Path(sys.executable), Path(found.submodule_search_locations[0]))
    environment = Path(sys.prefix) / FAMILY
    for folder in sorted(environment.glob("lib/python3*/site-packages/audio_separator")):
        return Package(environment / "bin" / "python", folder)
    return None


def known() -> dict[str, Known]:
    """The models that the package lists and whose publishers let everybody have them; none without the package.

    Raises `ModelUnavailableError` for a package whose lists are not those that we know.
    """
    package = find_package()
    try:
        return _lists(package.folder) if package else {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelUnavailableError(f"the lists of this audio-separator are not understood: {reason}") from error


def find(name: str) -> Known | None:
    """A model that the package lists, if it does. Raises nothing."""
    try:
        return known().get(name)
    except ModelUnavailableError:  # `known` tells
        return None


@functools.cache
def _lists(folder: Path) -> dict[str, Known]:
    scores: dict[str, dict[str, Any]] = json.loads((folder / "models-scores.json").read_text(encoding="utf-8"))
    found: dict[str, Known] = {}
    for name, one in scores.items():
        kind = _PREFIXES.get(one["model_name"].split(" ")[0])
        config = _CONFIGS.get(name)
        if kind and " VIP" not in one["model_name"] and (config or not name.endswith(".ckpt")):
            found[name] = _known(name, one["model_name"], f"{kind}_download_list", config, scores)
    for group, models in json.loads((folder / "models.json").read_text(encoding="utf-8")).items():
        for title, files in models.items():
            pairs = {files: None} if isinstance(files, str) else files
            found |= {name: _known(name, title, group, config, scores) for name, config in pairs.items()}
    return found


def _known(name: str, title: str, group: str, config: str | None, scores: dict[str, dict[str, Any]]) -> Known:
    kind, size, cost = _KINDS[group]
    info = ModelInfo(
        name=name,
        family=FAMILY,
        summary=f"{kind}: {title.partition(': ')[2] or title}",
        stems=_stems(scores.get(name, {}).get("stems") or ()),
        licence="its author's own",
        source=_PUBLIC,
        download_bytes=size,
        cost=cost,
    )
    return Known(info, config)


def _stems(names: list[str] | tuple[str, ...]) -> tuple[StemName, ...]:
    return tuple(slot(name) for name in names)


def cached(model: Known) -> Files | None:
    """The files of a model in the cache, where all are there. Raises nothing."""
    found = [_find(places) for places in model.remotes()]
    return _files(model, [path for path in found if path]) if all(found) else None


def fetch(model: Known, *, on_progress: OnProgress | None = None, again: bool = False) -> Files:
    """The files of a model, after a download of those that are not in the cache. Raises as `store.fetch`."""
    return _files(model, [_fetch(places, on_progress=on_progress, again=again) for places in model.remotes()])


def in_folder(name: str, folder: Path) -> Files | None:
    """The files of a model in a local folder, such as audio-separator's own; any name will do. Raises nothing."""
    path = folder / name
    if "/" in name or "\\" in name or "\0" in name or name.startswith(".") or not path.is_file():
        return None
    if path.suffix == ".ckpt":
        listed = find(name)
        names = [listed.config if listed else None, f"{path.stem}.yaml"]
        configs = [folder / one for one in names if one and (folder / one).is_file()]
        return Files(path, configs[0], ()) if configs else None
    return Files(path, None, _tables(folder)) if path.suffix in {".onnx", ".pth"} else None


def read_data(files: Files) -> dict[str, Any]:
    """What is said of a model: by its YAML, or by the tables, which know a file by the MD5 of its end.

    Raises `WeightsError` where nothing is, or nothing that can be read.
    """
    try:
        if files.config:
            return _read_yaml(files.config)
        with files.weights.open("rb") as file:
            file.seek(max(0, files.weights.stat().st_size - _HASHED))
            digest = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
        found: dict[str, Any] = {}
        for path in files.tables:
            table = json.loads(path.read_text(encoding="utf-8"))
            for part in (table.get("mdx_model_data", table), table.get("vr_model_data", {})):
                found = part.get(digest) or found
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"the data of {files.weights.name} cannot be read: {error}") from error
    if "vr_model_param" not in found and "mdx_dim_f_set" not in found:
        names = " and ".join(path.name for path in files.tables)
        raise WeightsError(f"{files.weights.name} is a file (MD5 {digest}) of which {names or 'no table'} says nothing")
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    """A configuration, in which tuples are the only objects of Python, and come as lists."""

    def as_list(loader: Any, node: Any) -> list[Any]:
        made: list[Any] = loader.construct_sequence(node, deep=True)
        return made

    try:
        data = load(read_small(path, most=LIMITS.size_bytes), constructors={"tag:yaml.org,2002:python/tuple": as_list})
    except YamlError as error:
        raise WeightsError(f"{path.name} cannot be used: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise WeightsError(f"{path.name} is no description of a model")
    plain: dict[str, Any] = json.loads(json.dumps(data, default=str))
    return plain


def _tables(folder: Path) -> tuple[Path, ...]:
    package = find_package()
    own = [package.folder / "model-data.json"] if package else []
    return tuple(path for path in (*(folder / name for name in TABLES), *own) if path.is_file())


def _files(model: Known, paths: list[Path]) -> Files:
    weights, *others = paths
    if model.config:
        return Files(weights, others[0], ())
    return Files(weights, None, (*others, *_tables(weights.parent)))


def _find(places: tuple[store.Remote, ...]) -> Path | None:
    for remote in places:
        if folder := store.find(remote):
            return folder / PurePosixPath(remote.url).name
    return None


def _fetch(places: tuple[store.Remote, ...], *, on_progress: OnProgress | None, again: bool) -> Path:
    if not again and (path := _find(places)):
        store.check(path.parent, [path.name])
        return path
    *first, last = places
    for remote in first:
        try:
            return store.fetch(remote, on_progress=on_progress, again=again) / PurePosixPath(remote.url).name
        except ModelUnavailableError:  # not there; the next may have it
            continue
    return store.fetch(last, on_progress=on_progress, again=again) / PurePosixPath(last.url).name
