"""Real singing: phrases of the shared singles joined to recordings of 60 to 150 s."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from training.corpus import RATE, exists, own_rng
from training.voices.vocals import Audio, levelled, limited, stereo, write_vocals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Never in training, nor anything made from them.
HELD_OUT: Final = ("etv_gm_136_adlib", "etv_gm_136_phrase", "shv_e_125")
_LONGEST_S: Final = 150.0
_NAME: Final = re.compile(r"(?P<kind>etv|shv)_(?P<key>[a-z]+)_(?P<tempo>\d+)")
_KEYS: Final = {
    "am": "A minor", "cm": "C minor", "dm": "D minor", "ebj": "Eb major", "ebm": "Eb minor", "em": "E minor",
    "fm": "F minor", "gm": "G minor",
}  # fmt: skip
_PRODUCERSPACE: Final = "vocals-producerspace (CC0 1.0, Producer Space)"
_NIT: Final = "NIT SONG070 F001 (CC BY 3.0, HTS Working Group, Nagoya Institute of Technology)"


@dataclass(frozen=True)
class Recording:
    """Phrases that will be one song of the corpus."""

    name: str
    split: str  # "train" or "test"
    phrases: tuple[Path, ...]
    source: str
    key: str | None = None
    tempo: float | None = None


def recordings(shared: Path) -> Iterator[Recording]:
    """List what the shared folder's singles become. Ad-libs and phrases of one key share a recording in training."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for folder in sorted((shared / "singles" / "vocals-producerspace").iterdir()):
        split = "test" if folder.name in HELD_OUT else "train"
        group = folder.name if split == "test" else folder.name.removesuffix("_adlib").removesuffix("_phrase")
        groups.setdefault((split, group), []).extend(sorted(folder.glob("*.ogg")))
    for (split, group), phrases in groups.items():
        found = _NAME.match(group)
        tempo = float(found["tempo"]) if found else None
        for number, part in enumerate(_parts(phrases)):
            yield Recording(f"voice-{group}-{number}", split, part, _PRODUCERSPACE, _key(phrases[0], group), tempo)
    song070 = tuple(sorted((shared / "singles" / "vocals-nit-song070").glob("*.ogg")))
    yield Recording("voice-nit-song070", "train", song070, _NIT)


def write_real(corpus: Path, shared: Path, seed: int) -> Iterator[tuple[str, float]]:
    """Write all recordings that are not there yet; gives name and seconds of each."""
    for recording in recordings(shared):
        folder = corpus / recording.split / recording.name
        if exists(folder):
            continue
        rng = own_rng(seed, recording.name, 0)
        audio = limited(joined([levelled(read(path)) for path in recording.phrases], rng))
        facts = {
            "sources": [recording.source, *(path.parent.name + "/" + path.name for path in recording.phrases)],
            "tempo": recording.tempo,
            "key": recording.key,
            "kind": "real",
        }
        yield recording.name, write_vocals(folder, audio, facts)


def joined(phrases: list[Audio], rng: np.random.Generator) -> Audio:
    """Put phrases, each [T, 2], behind one another in random order with 0.2 to 1.5 s of silence between them."""
    pieces: list[Audio] = []
    for index in rng.permutation(len(phrases)):
        pieces += [_faded(phrases[index]), np.zeros((int(rng.uniform(0.2, 1.5) * RATE), 2), np.float32)]
    return np.concatenate(pieces)


def read(path: Path) -> Audio:
    """Decode a file of 44.1 kHz to [T, 2] float32."""
    import soundfile

    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != RATE:
        raise ValueError(f"{path} is at {rate} Hz, not {RATE} Hz")
    return stereo(audio)


def _faded(phrase: Audio) -> Audio:
    """Fade 3 ms in and 10 ms out, so that no join clicks."""
    out = phrase.copy()
    rise, fall = RATE * 3 // 1000, RATE // 100
    out[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)[:, None]
    out[-fall:] *= np.linspace(1, 0, fall, dtype=np.float32)[:, None]
    return out


def _parts(phrases: list[Path]) -> Iterator[tuple[Path, ...]]:
    """Cut a list of phrases into recordings of nearly equal length, 150 s at most."""
    import soundfile

    seconds = np.array([soundfile.info(path).duration + 0.85 for path in phrases])
    count = max(1, int(np.ceil(seconds.sum() / _LONGEST_S)))
    number = np.minimum((np.cumsum(seconds) - seconds / 2) / (seconds.sum() / count), count - 1e-9).astype(int)
    for part in range(count):
        yield tuple(path for path, where in zip(phrases, number, strict=True) if where == part)


def _key(phrase: Path, group: str) -> str | None:
    """Read the key: from the file's name (`SHV-Fsharp-minor-122-…`), else from the folder's (`etv_am_136`)."""
    named = re.search(r"-([A-G](?:b|#|sharp)?)-(minor|major)-", phrase.name, re.IGNORECASE)
    if named:
        return f"{named[1].replace('sharp', '#')} {named[2].lower()}"
    found = _NAME.match(group)
    return _KEYS.get(found["key"]) if found else None
