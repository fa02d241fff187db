"""One-shots as mono layers, by kit and piece: what patterns are played with, for training and for evaluation."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.corpus import RATE
from training.drums import modal
from training.songs import drumsynth, fonts
from training.songs.kits import DRAWN, HYDROGEN, LAYERED
from training.songs.plan import Hit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Mono: TypeAlias = NDArray[np.float32]
Kit: TypeAlias = dict[str, list[Mono]]  # piece -> layers from soft to loud

LANE_OF: Final = {
    "kick": 0, "snare": 1, "rim": 1, "clap": 1, "hat": 2, "pedal": 2, "open": 2, "tom1": 3, "tom2": 4, "tom3": 5,
    "crash": 6, "china": 6, "ride": 7, "bell": 7,
}  # fmt: skip
ON_LANES: Final = tuple(LANE_OF)
OFF_LANES: Final = ("shaker", "tamb", "cowbell", "conga1", "conga2", "bongo1", "bongo2", "clave", "snap")
MACHINES: Final = 48  # synthesized kits of each of the two sorts
LONGEST: Final = 2.5  # s of a one-shot
FADE: Final = 0.4  # s, of what is longer
DOUBTFUL: Final = {"sonic": ("ride",), "rumpf": ("ride",)}  # these kits' rides are soft or splashed crashes
LOUDNESSES: Final = (0.2, 0.5, 0.9)
KEYS: Final = {
    "kick": (36, 35), "snare": (38, 40), "rim": (37,), "clap": (39,), "hat": (42,), "pedal": (44,), "open": (46,),
    "tom1": (50, 48), "tom2": (47, 45), "tom3": (43, 41), "crash": (49, 57), "china": (52, 55), "ride": (51, 59),
    "bell": (53,),
}  # fmt: skip
TRAINED: Final = (
    *("muldjord", "muldjord", "muldjord", "muldjord", "audiophob", "rumpf", "sonic", "sonic", "synth"),
    *("modal", "modal", "modal", "modal", "modal", "modal"),
    *(f"FluidR3:{program}" for program in (0, 0, 8, 16, 24, 25, 32, 40)),
)  # a kit's share of the songs is how often it is named
FAMILIES: Final = tuple(dict.fromkeys(name.split(":")[0] for name in TRAINED))
HELD_OUT: Final = {
    "Black Pearl (acoustic, GPL)": "blackpearl",
    "Forzee (acoustic, GPL)": "forzee",
    "Millo (acoustic, GPL)": "millo",
    "TimGM6mb (soundfont, GPL)": "TimGM6mb:0",
    "Colombo (acoustic, GPL)": "colombo",
    "BJA Pacific (acoustic, CC BY-SA)": "pacific",
}
_FILES: Final[dict[str, tuple[Path, dict[str, str]]]] = {
    "forzee": (
        HYDROGEN / "ForzeeStereo",
        {
            "kick": "Kick-*", "snare": "Snare-*", "rim": "RimClick-*", "hat": "HiHatClosed-*", "open": "HiHatOpen-*",
            "pedal": "HiHatFoot-*", "tom1": "TomHigh-*", "tom2": "TomMid-*", "tom3": "TomLow-*", "crash": "Crash18-*",
            "china": "China-*", "ride": "Ride-* RideBow-*", "bell": "RideBell-*",
        },
    ),
    "colombo": (
        HYDROGEN / "ColomboAcousticDrumkit",
        {
            "kick": "bassdrum-*", "snare": "snare-*normal*shot*", "hat": "hihat-closed-*", "open": "hihat-open-*",
            "tom1": "tom-hi-*", "tom2": "tom-mid-*", "tom3": "tom-low-*", "crash": "crash16i__crash* crash20i__crash*",
            "ride": "crash20i__ride4*", "bell": "crash20i__ride-cup*",
        },
    ),
    "pacific": (
        HYDROGEN / "BJA_Pacific",
        {
            "kick": "BD_*", "snare": "SN_*", "hat": "HH_*", "open": "HH2_*", "tom1": "TM_*", "tom3": "TM2_*",
            "crash": "CB_* CB2_*", "ride": "RD_* RD2_*", "bell": "BL_*",
        },
    ),
}  # fmt: skip


def trained(*, without: str | None) -> tuple[str, ...]:
    """The kits that may be trained on, but for one family."""
    return tuple(name for name in TRAINED if name.split(":")[0] != without)


def kit_of(name: str, rng: np.random.Generator) -> Kit:
    """A kit by name, `family` or `font:program`, with the pieces that it has; machines draw one file a piece."""
    if name == "synth":
        return dict(_synthesized(int(rng.integers(MACHINES))))
    if name == "modal":
        return dict(_modal(int(rng.integers(MACHINES))))
    if ":" in name:
        font, program = name.split(":")
        options = _font_kit(font, int(program))
        return {piece: layers[int(rng.integers(len(layers)))] for piece, layers in options.items()}
    pieces = {piece: layers for piece, layers in _recorded(name).items() if piece not in DOUBTFUL.get(name, ())}
    if name in DRAWN:
        return {piece: [layers[int(rng.integers(len(layers)))]] for piece, layers in pieces.items()}
    return dict(pieces)


@cache
def _synthesized(number: int) -> Kit:
    rng = np.random.default_rng([7, number])
    return {piece: [_mono(drumsynth.piece(piece, rng))] for piece in (*ON_LANES, *OFF_LANES)}


@cache
def _modal(number: int) -> Kit:
    return modal.kit(np.random.default_rng([8, number]))


def _mono(sound: NDArray[np.float32]) -> Mono:
    """Both sides as one, silence before it cut where it passes 2 % of its peak, silence after it too: [N]."""
    mono = sound.mean(axis=0)[: int(LONGEST * RATE)].copy()
    if sound.shape[1] > len(mono):
        mono[-int(FADE * RATE) :] *= np.linspace(1, 0, int(FADE * RATE), dtype=np.float32)
    loud = np.abs(mono) > 0.02 * max(float(np.abs(mono).max()), 1e-6)
    start = max(int(np.argmax(loud)) - 20, 0)
    heard = np.flatnonzero(np.abs(mono) > 1e-4 * max(float(np.abs(mono).max()), 1e-6))
    return np.ascontiguousarray(mono[start : heard[-1] + 1 if len(heard) else 1], dtype=np.float32)


def _by_energy(layers: Iterable[Mono]) -> list[Mono]:
    return sorted(layers, key=lambda sound: float(np.square(sound).sum()))


@cache
def _recorded(name: str) -> Kit:
    """All layers of each piece of a kit of files."""
    import soundfile
    import soxr

    folder, pieces = ({**LAYERED, **DRAWN} | _FILES)[name]
    if name == "millo":  # it has two toms
        pieces = {piece: files for piece, files in pieces.items() if piece != "tom2"}
    out: Kit = {}
    for piece, patterns in pieces.items():
        found = sorted(path for pattern in patterns.split() for path in folder.glob(pattern))
        layers = []
        for path in found:
            sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
            sound = sound if rate == RATE else soxr.resample(sound, rate, RATE)
            if np.abs(sound).max() > 1e-4:
                layers.append(_mono(sound.T))
        if layers:
            out[piece] = _by_energy(layers)
    return out


@cache
def _font_kit(font: str, program: int) -> dict[str, list[list[Mono]]]:
    """Of each piece one list of layers a key; each key was struck alone, three times."""
    gap = int((LONGEST + 0.1) * RATE)
    out: dict[str, list[list[Mono]]] = {}
    for which in (0, 1):
        keys = {piece: keys[which] for piece, keys in KEYS.items() if len(keys) > which}
        strokes = [(piece, loud) for piece in keys for loud in LOUDNESSES]
        hits = [Hit(index * gap / RATE, piece, loud) for index, (piece, loud) in enumerate(strokes)]
        sound = fonts.drum(font, hits, program=program, frames=gap * len(strokes), swaps=keys)
        layers = [_mono(sound[:, index * gap : (index + 1) * gap]) for index in range(len(strokes))]
        for index, piece in enumerate(keys):
            out.setdefault(piece, []).append(layers[index * len(LOUDNESSES) : (index + 1) * len(LOUDNESSES)])
    return out


def all_sounds(name: str) -> list[Mono]:
    """Every one-shot of a recorded kit or of a soundfont's program."""
    if ":" in name:
        font, program = name.split(":")
        return [sound for keys in _font_kit(font, int(program)).values() for layers in keys for sound in layers]
    return [sound for layers in _recorded(name).values() for sound in layers]
