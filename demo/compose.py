"""Render the demo song: `python -m demo.compose` writes song.ogg, stems/*.ogg and cover.png beside this file."""

import argparse
import base64
import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.io import wavfile

from . import band, cover
from .mix import RATE, STEMS, band_pass, decibels, echo, finish, pan, room, saturate
from .score import LENGTH_SECONDS, SECONDS_PER_BEAT, SEED, TITLE, harmony_line, lead_line
from .voice import Singer, sing

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parent
FRAMES = round(LENGTH_SECONDS * RATE)
GAIN_DB = {"vocals": 1.4, "drums": 1.6, "bass": 2.6, "other": 1.4}
VORBIS_QUALITY = {"song": 5.3, "vocals": 3.0, "drums": 3.0, "bass": 0.0, "other": 1.9}
TAGS = {
    "title": TITLE,
    "artist": "Stemwright",
    "album": "Demo",
    "date": "2026",
    "genre": "Pop",
    "comment": "Licence: CC0 1.0. Composed and sung by demo/compose.py; instruments FluidR3_GM (MIT, Frank Wen).",
}


def vocals() -> "NDArray[np.float64]":
    """The singers in their room: float64 [2, frames]; a lead, and in the chorus a double and two harmonies."""
    lead = lead_line()
    chorus = lead[-4:]
    cast = (
        (lead, Singer(SEED), 0.0, 0.0),
        (chorus, Singer(SEED + 1, cents=5, late=0.014, vibrato=30), -0.35, -13.0),
        (harmony_line(lead, above=False), Singer(SEED + 2, tract=1.04, cents=-4, late=0.008), -0.55, -12.0),
        (harmony_line(lead, above=True), Singer(SEED + 3, tract=1.13, cents=3, late=0.011), 0.55, -13.0),
    )
    dry = np.zeros((2, FRAMES))
    for line, singer, place, gain in cast:
        dry += pan(decibels(gain) * sing(line, singer=singer, samples=FRAMES), place=place)
    dry = saturate(dry, drive=0.9)
    wet = room(dry, seconds=1.5, pre_delay=0.024, seed=SEED) * decibels(-14)
    return dry + wet + echo(dry, seconds=0.75 * SECONDS_PER_BEAT, times=3, fall=0.45) * decibels(-13)


def players(folder: Path) -> dict[str, "NDArray[np.float64]"]:
    """Drums, bass and other, each float64 [2, frames], coloured; MIDI and raw sound pass through `folder`."""
    drums = band.play(band.drum_notes(), patches=band.DRUM_PATCHES, folder=folder, name="drums", frames=FRAMES)
    bass = band.play(band.bass_notes(), patches=band.BASS_PATCHES, folder=folder, name="bass", frames=FRAMES)
    other = band.play(band.other_notes(), patches=band.OTHER_PATCHES, folder=folder, name="other", frames=FRAMES)
    return {
        "drums": band_pass(saturate(drums, drive=2.2), low=30.0),
        "bass": band_pass(saturate(bass, drive=1.6), low=32.0, high=5000.0),
        "other": band_pass(saturate(other, drive=1.2), low=120.0),
    }


def render() -> tuple[dict[str, "NDArray[np.float32]"], "NDArray[np.float32]"]:
    """The four stems and the mix, each float32 [2, frames] at 44.1 kHz; the stems add up to the mix exactly."""
    with tempfile.TemporaryDirectory() as folder:
        parts = {"vocals": vocals(), **players(Path(folder))}
    return finish({name: decibels(GAIN_DB[name]) * parts[name] for name in STEMS})


def _escape(text: str) -> str:
    """A value for ffmpeg's metadata file."""
    for mark in "\\=;#\n":
        text = text.replace(mark, "\\" + mark)
    return text


def encode(samples: "NDArray[np.float32]", *, to: Path, quality: float, tags: dict[str, str]) -> None:
    """Write float32 [2, frames] as Ogg Vorbis with tags; the same samples give the same file."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "tags.txt"
        lines = (f"{key}={_escape(value)}\n" for key, value in tags.items())
        notes.write_text(";FFMETADATA1\n" + "".join(lines), encoding="utf-8")
        source = ["-f", "f32le", "-ar", str(RATE), "-ac", "2", "-i", "pipe:0", "-f", "ffmetadata", "-i", str(notes)]
        codec = ["-map", "0:a", "-map_metadata", "1", "-c:a", "libvorbis", "-q:a", str(quality)]
        exact = ["-fflags", "+bitexact", "-flags", "+bitexact"]
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", *source, *codec, *exact, str(to)],
            input=samples.T.astype("<f4").tobytes(),
            check=True,
        )


def main() -> None:
    """Render the song, write the files, print what identifies the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wav", type=Path, metavar="FOLDER", help="write float32 WAVs, which add up exactly, here")
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where the song goes")
    chosen = parser.parse_args()
    stems, mix = render()
    everything = {"song": mix, **stems}
    if chosen.wav is not None:
        chosen.wav.mkdir(parents=True, exist_ok=True)
        for name, samples in everything.items():
            wavfile.write(chosen.wav / f"{name}.wav", RATE, samples.T)
    picture = cover.png(cover.draw())
    (chosen.out / "stems").mkdir(parents=True, exist_ok=True)
    (chosen.out / "cover.png").write_bytes(picture)
    block = base64.b64encode(cover.picture_block(picture)).decode()
    tags = {**TAGS, "METADATA_BLOCK_PICTURE": block}
    encode(mix, to=chosen.out / "song.ogg", quality=VORBIS_QUALITY["song"], tags=tags)
    for name, samples in stems.items():
        own = {**TAGS, "title": f"{TITLE} ({name})"}
        encode(samples, to=chosen.out / "stems" / f"{name}.ogg", quality=VORBIS_QUALITY[name], tags=own)
    for name, samples in everything.items():
        print(f"{name:7} sha256 of samples {hashlib.sha256(samples.T.tobytes()).hexdigest()[:16]}")


if __name__ == "__main__":
    main()
