"""All models by name: those of every family registered under the entry point group `stemwright.separators`.

Our own families are registered exactly as a third party's would be.
"""

from __future__ import annotations

import difflib
import logging
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Final

from stemwright.errors import DeviceUnavailableError, ModelUnavailableError, StemwrightError, UnknownModelError
from stemwright.separators.protocol import Family, LoadOptions, ModelInfo, Separator

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("stemwright.models")
GROUP: Final = "stemwright.separators"
AUTO: Final = "auto"  # no model: `BEST` where that is here or can be had, else `DRAFT`
BEST: Final = "htdemucs"
DRAFT: Final = "sketch"
_OTHERS, _OTHERS_FILES = "audio-separator", (".ckpt", ".onnx", ".pth")
FIRST: Final = (  # the models that matter first, in the order in which lists show them
    *("htdemucs", "htdemucs_ft", "htdemucs_6s", "spleeter:2stems", "spleeter:4stems", "sketch"),
    *("vocals_mel_band_roformer.ckpt", "UVR-MDX-NET-Inst_HQ_3.onnx"),
)
_NEEDED: Final = ("name", "models", "availability", "load")


def families() -> dict[str, Family]:
    """The families that work, by name, in the order of their names. Raises nothing for one that does not work."""
    return _known()[0]


def problems() -> list[str]:
    """One sentence for each registered family that does not work, or cannot say which models it has."""
    found, wrong = _known()
    return [*wrong, *_models(found)[1].values()]


def extras() -> dict[str, str]:
    """Packages that families can use and do not bring, by their names, each with what it is for."""
    return {package: what for family in families().values() for package, what in getattr(family, "extras", {}).items()}


def list_models() -> list[tuple[Family, ModelInfo]]:
    """Every model that a family knows by name, with its family; those of `FIRST` come first.

    Raises nothing for a family that does not work.
    """
    place = {name: number for number, name in enumerate(FIRST)}
    return sorted(_models(families())[0], key=lambda pair: place.get(pair[1].name, len(place)))


def find_model(name: str, *, repo: Path | None = None) -> tuple[Family, ModelInfo]:
    """The model called `name`; with a `repo` (a local folder of weights), also one that only that folder has.

    The stems of a model that only the folder has are not known before it is loaded: its info has none.
    Raises `UnknownModelError`, naming those that are called nearly so.
    """
    models, wrong = _models(families())
    named = [(family, info) for family, info in models if info.name == name]
    for family, info in named:  # where several have the name, the one whose weights are here
        if family.availability(name, repo=repo) == "ready":
            return family, info
    if named and repo is None:
        return named[0]
    if repo is not None:
        for family in families().values():
            if family.availability(name, repo=repo) == "ready" != family.availability(name):
                source = str(repo)
                summary = f"model from the folder {repo.name}"
                return family, ModelInfo(
                    name=name, family=family.name, summary=summary, stems=(), licence="unknown", source=source
                )
    if named:
        return named[0]
    close = difflib.get_close_matches(name, [info.name for _, info in models])
    place = f" (nor in {repo})" if repo else ""
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(_some(models))}"
    here = _OTHERS in wrong or any(info.family == _OTHERS for _, info in models)
    if name.endswith(_OTHERS_FILES) and not here:
        hint = f"models that are called by such files' names need {_OTHERS}, which is not here (docs/models.md)"
    hint = "; ".join([hint, *wrong.values()])
    raise UnknownModelError(f"there is no model {name!r}{place}; {hint}")


def _some(models: list[tuple[Family, ModelInfo]]) -> list[str]:
    """The names that a message can hold: all but those of `audio-separator`, of which there are 150."""
    some = sorted(info.name for family, info in models if family.name != _OTHERS)
    rest = len(models) - len(some)
    return [*some, f"and {rest} of {_OTHERS} (`stemwright models --all`)"] if rest else some


def at_path(model: str, *, repo: Path | None) -> tuple[str, Path | None]:
    """Name and folder of what may be a path to the YAML of a custom model: `models/mine.yaml` is `mine` in `models`.

    For what the operator of this machine types, never for what comes over a network.
    """
    from pathlib import Path

    path = Path(model)
    return (path.stem, path.parent) if path.suffix in {".yaml", ".yml"} else (model, repo)


def load(name: str, *, options: LoadOptions) -> Separator:
    """Load a model by name.

    Raises `UnknownModelError`, `ModelUnavailableError`, `WeightsError`, `DeviceUnavailableError`, and `OptionError`
    when the model does not take an option.
    """
    family, _ = find_model(name, repo=options.repo)
    return family.load(name, options)


def resolve(name: str, *, repo: Path | None) -> str:
    """The model that a name means; for `auto` the one that `choose_auto` would load now, found without loading it.

    With a `repo` that lacks the best model this is the draft, where `choose_auto` refuses. Raises nothing.
    """
    if name != AUTO:
        return name
    try:
        family, info = find_model(BEST, repo=repo)
        missing = family.availability(info.name, repo=repo) == "missing"
    except Exception as error:  # noqa: BLE001  (as in `_discover`)
        log.warning("auto is the draft: %s cannot be found", BEST, extra={"error": str(error)[:300]})
        return DRAFT
    return DRAFT if missing else BEST


def choose_auto(options: LoadOptions) -> tuple[Separator, str | None]:
    """Load the model that `auto` stands for; for a draft also why, in a sentence for the user.

    It is `htdemucs` when its weights are here or can be downloaded now, else `sketch`; with a `repo` it is the
    `htdemucs` in there, and nothing else. Raises as `load` does, except that `htdemucs` is not available.
    """
    try:
        return load(BEST, options=options), None
    except (UnknownModelError, ModelUnavailableError) as error:
        if options.repo is not None:
            raise
        reason = error.message
    why = f"auto uses {DRAFT}, a draft, because {reason}"
    try:
        return load(DRAFT, options=options), why
    except DeviceUnavailableError as error:
        raise DeviceUnavailableError(f"{error.message}; {why}") from error


def about_draft(name: str, reason: str | None) -> str:
    """What the user of a draft model is told: that it is one, the `reason` of `choose_auto`, and how to get better."""
    if reason:
        return f"{reason}. For a fine separation: stemwright models pull {BEST}"
    return f"{name} gives a draft. For a fine separation: --model {BEST}"


_kept: dict[tuple[str, ...], dict[str, Family]] = {}  # by `sys.path`


def _known() -> tuple[dict[str, Family], list[str]]:
    """The families, and what is wrong with some; looked for once, for that reads every package's metadata: 13 ms."""
    path = tuple(sys.path)
    if path in _kept:
        return _kept[path], []
    found, wrong = _discover()
    if not wrong:
        _kept[path] = found
    return found, wrong


def _models(known: dict[str, Family]) -> tuple[list[tuple[Family, ModelInfo]], dict[str, str]]:
    """The models of families; by name, what is wrong with those families that cannot say which they have."""
    found: list[tuple[Family, ModelInfo]] = []
    wrong: dict[str, str] = {}
    for family in known.values():
        try:
            found += [(family, info) for info in family.models()]
        except Exception as error:  # noqa: BLE001  (as in `_discover`)
            reason = error.message if isinstance(error, StemwrightError) else f"{type(error).__name__}: {error}"
            wrong[family.name] = f"the separator family {family.name} cannot say which models it has: {reason}"
    return found, wrong


def _discover() -> tuple[dict[str, Family], list[str]]:
    found: dict[str, Family] = {}
    wrong: list[str] = []
    origins: dict[str, str] = {}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            family: Family = entry.load()
        except Exception as error:  # noqa: BLE001  (somebody else's code may fail in any way)
            wrong.append(f"the separator family {entry.name} ({entry.value}) does not load: {error}")
            continue
        if lacking := [needed for needed in _NEEDED if not hasattr(family, needed)]:
            wrong.append(f"the separator family {entry.name} ({entry.value}) lacks {', '.join(lacking)}")
        elif origins.setdefault(family.name, entry.value) != entry.value:
            wrong.append(f"the separator family {family.name} is registered twice; {entry.value} is left out")
        else:
            found[family.name] = family
    return found, wrong
