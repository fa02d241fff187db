"""Soundfonts, played by FluidSynth's library inside this process: a fresh synth for each track, notes in, sound out."""

from __future__ import annotations

import ctypes
import ctypes.util
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.corpus import RATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from training.songs.plan import Hit, Note

FOLDER = Path("/usr/share/sounds")
FONTS = {
    "FluidR3": (FOLDER / "sf2/FluidR3_GM.sf2", "FluidR3_GM (MIT, Frank Wen)"),
    "MuseScore": (
        FOLDER / "sf3/MuseScore_General_Lite.sf3",
        "MuseScore_General_Lite (MIT, parts CC0 or public domain)",
    ),
    "TimGM6mb": (FOLDER / "sf2/TimGM6mb.sf2", "TimGM6mb (GPL-2, evaluation only)"),
}
GM_DRUMS = {
    "kick": 36,
    "snare": 38,
    "clap": 39,
    "rim": 37,
    "hat": 42,
    "pedal": 44,
    "open": 46,
    "tom1": 50,
    "tom2": 47,
    "tom3": 43,
    "crash": 49,
    "china": 52,
    "ride": 51,
    "bell": 53,
    "shaker": 70,
    "tamb": 54,
    "cowbell": 56,
    "conga1": 63,
    "conga2": 64,
    "bongo1": 60,
    "bongo2": 61,
    "clave": 75,
    "snap": 39,
}


@cache
def _library() -> Any:
    """libfluidsynth, with the signatures that need saying."""
    library = ctypes.CDLL(ctypes.util.find_library("fluidsynth") or "libfluidsynth.so.3")
    library.new_fluid_settings.restype = ctypes.c_void_p
    library.new_fluid_synth.restype = ctypes.c_void_p
    library.delete_fluid_synth.argtypes = library.delete_fluid_settings.argtypes = [ctypes.c_void_p]
    library.new_fluid_synth.argtypes = [ctypes.c_void_p]
    library.fluid_settings_setnum.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_double]
    library.fluid_settings_setint.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    library.fluid_synth_sfload.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    for name, count in (("program_change", 2), ("noteon", 3), ("noteoff", 2), ("cc", 3)):
        getattr(library, f"fluid_synth_{name}").argtypes = [ctypes.c_void_p] + [ctypes.c_int] * count
    side = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
    library.fluid_synth_write_float.argtypes = [ctypes.c_void_p, ctypes.c_int, *side, *side]
    return library


@contextmanager
def _synth(font: str) -> Iterator[int]:
    """A synth with one font loaded, without reverb or chorus. A used one, even if reset, still rings from before."""
    library = _library()
    settings = library.new_fluid_settings()
    library.fluid_settings_setnum(settings, b"synth.sample-rate", float(RATE))
    library.fluid_settings_setnum(settings, b"synth.gain", 0.5)
    for key in (b"synth.reverb.active", b"synth.chorus.active"):
        library.fluid_settings_setint(settings, key, 0)
    library.fluid_settings_setint(settings, b"synth.dynamic-sample-loading", 0 if font == "TimGM6mb" else 1)
    library.fluid_settings_setint(settings, b"synth.polyphony", 128)
    library.fluid_settings_setint(settings, b"synth.lock-memory", 0)
    synth = int(library.new_fluid_synth(settings))
    if library.fluid_synth_sfload(synth, str(FONTS[font][0]).encode(), 1) < 0:
        raise FileNotFoundError(FONTS[font][0])
    try:
        yield synth
    finally:
        library.delete_fluid_synth(synth)
        library.delete_fluid_settings(settings)


def _render(font: str, events: list[tuple[float, int, int, int]], *, channel: int, program: int, frames: int,
            wheel: int = 0) -> NDArray[np.float32]:  # fmt: skip
    """Events (seconds, on 1 / off 0, key, velocity) on one channel as float32 [2, frames]."""
    library = _library()
    out = np.zeros((2, frames), np.float32)
    left, right = out[0].ctypes.data, out[1].ctypes.data
    done = 0
    with _synth(font) as synth:
        library.fluid_synth_program_change(synth, channel, program)
        library.fluid_synth_cc(synth, channel, 1, wheel)
        for seconds, on, key, velocity in sorted(events):
            until = min(int(seconds * RATE), frames)
            if until > done:
                library.fluid_synth_write_float(synth, until - done, left, done, 1, right, done, 1)
                done = until
            if on:
                library.fluid_synth_noteon(synth, channel, key, velocity)
            else:
                library.fluid_synth_noteoff(synth, channel, key)
        if frames > done:
            library.fluid_synth_write_float(synth, frames - done, left, done, 1, right, done, 1)
    return out


def play(font: str, notes: Sequence[Note], *, program: int, frames: int, wheel: int = 0) -> NDArray[np.float32]:
    """A melodic General MIDI program: float32 [2, frames]; `wheel` is vibrato, 0..127."""
    events = []
    for note in notes:
        events.append((note.start, 1, note.pitch, max(int(note.loud * 127), 1)))
        events.append((note.start + note.length, 0, note.pitch, 0))
    return _render(font, events, channel=0, program=program, frames=frames, wheel=wheel)


def drum(font: str, hits: Sequence[Hit], *, program: int, frames: int, swaps: dict[str, int]) -> NDArray[np.float32]:
    """A drum kit: float32 [2, frames]; `swaps` names other keys for some pieces."""
    keys = {**GM_DRUMS, **swaps}
    events = []
    for hit in hits:
        key = keys[hit.piece]
        events.append((hit.start, 1, key, max(int(hit.loud**0.8 * 127), 1)))
        events.append((hit.start + 0.08, 0, key, 0))
    return _render(font, events, channel=9, program=program, frames=frames)
