"""Recorded songs that bring their own stems: the multitracks in shared/, and Sectoid's guitars from Debian."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.corpus import SHARED, write_song

if TYPE_CHECKING:
    from numpy.typing import NDArray

MULTITRACKS = SHARED / "multitracks"
SECTOID = Path("/usr/share/games/fretsonfire/data/songs/sectoid")
TEST = ("sodium",)
TRAIN = ("hydrogen", "potassium", "rubidium", "caesium")
CREDIT = "everything is remixed, ichbinsoftware (CC0 1.0)"
SECTOID_CREDIT = "fretsonfire-songs-sectoid, Carlos Viola Iborra (MIT-style)"
SILENT = 33  # int16 steps, about -60 dB


def decode(path: Path) -> NDArray[np.int16]:
    """Any audio file as int16 [T, 2] at 44.1 kHz."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ac", "2", "-ar", "44100", "-"]
    raw = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(raw, np.int16).reshape(-1, 2)


def same_length(stems: dict[str, NDArray[np.int16]]) -> dict[str, NDArray[np.int16]]:
    """All stems cut to the shortest: int16 [T, 2] each."""
    length = min(len(sound) for sound in stems.values())
    return {name: sound[:length] for name, sound in stems.items()}


def multitrack(name: str, *, to: Path) -> None:
    """One song of shared/multitracks; a bass that is silent is inside `other`, which is then named bass+other."""
    stems = same_length(
        {stem: decode(MULTITRACKS / name / f"{stem}.ogg") for stem in ("vocals", "drums", "bass", "other")}
    )
    if np.abs(stems["bass"]).max() < SILENT:
        stems = {"vocals": stems["vocals"], "drums": stems["drums"], "bass+other": stems["other"]}
    write_song(to / name, stems=stems, facts={"style": "electronic", "sources": [CREDIT], "real": True})


def guitars(name: str, *, to: Path) -> None:
    """One Sectoid song: the guitar alone, as `other`; silence at both ends cut."""
    sound = decode(SECTOID / name / "guitar.ogg")
    heard = np.flatnonzero(np.abs(sound).max(axis=1) > SILENT)
    facts = {"style": "metal guitars", "sources": [SECTOID_CREDIT], "real": True}
    write_song(
        to / f"sectoid-{name.lower().replace(' ', '-')}", stems={"other": sound[heard[0] : heard[-1]]}, facts=facts
    )


def write_recorded(corpus: Path) -> None:
    """Every recorded song that the corpus lacks."""
    for part, names in (("train", TRAIN), ("test", TEST)):
        for name in names:
            if not (corpus / part / name).exists():
                multitrack(name, to=corpus / part)
    for folder in sorted(SECTOID.iterdir()) if SECTOID.is_dir() else ():
        target = f"sectoid-{folder.name.lower().replace(' ', '-')}"
        if (folder / "guitar.ogg").exists() and not (corpus / "train" / target).exists():
            guitars(folder.name, to=corpus / "train")
