"""The styles: tempo, meters, modes, groove, who plays and with which sounds."""

from __future__ import annotations

from dataclasses import dataclass

from training.songs.palettes import (
    ACOUSTIC,
    BRASS,
    CLEAN,
    DRIVE,
    E_BASS,
    FX,
    KEYS,
    LEADS,
    MACHINE,
    PADS,
    PLUCKS,
    S_BASS,
    STABS,
    STRINGS,
    SYNTH_LEADS,
    UP_BASS,
)

FOUR = (("4/4", 1.0),)


@dataclass(frozen=True, slots=True)
class Style:
    """How songs of one kind are made; parts are (role, sounds, chance of being in the song)."""

    tempo: tuple[int, int]
    modes: tuple[str, ...]
    grooves: tuple[str, ...]
    basses: tuple[tuple[str, tuple[str, ...]], ...]  # (kind of line, sounds)
    parts: tuple[tuple[str, tuple[str, ...], float], ...]
    kits: tuple[str, ...]
    meters: tuple[tuple[str, float], ...] = FOUR
    swing: tuple[float, float] = (0.0, 0.0)  # chance, how much (1/3 is a triplet)
    swing_unit: int = 1  # sixteenths
    ducked: float = 0.0  # chance that the kick ducks bass and other
    electronic: bool = False
    chord_size: tuple[int, ...] = (3,)
    weight: float = 1.0


STYLES: dict[str, Style] = {
    "pop": Style(
        (84, 128),
        ("major", "minor", "major"),
        ("rock", "four", "soft", "funk"),
        (("eighths", E_BASS + S_BASS), ("stab", E_BASS + S_BASS), ("long", E_BASS)),
        (
            ("pad", PADS, 0.7), ("stab", KEYS, 0.6), ("strum", CLEAN, 0.5), ("arp", PLUCKS, 0.4),
            ("lead", SYNTH_LEADS + LEADS, 0.35), ("riff", PLUCKS, 0.3), ("fx", FX, 0.4), ("beats", KEYS, 0.4),
        ),
        ACOUSTIC + MACHINE,
        (("4/4", 0.9), ("6/8", 0.1)),
        ducked=0.3,
        weight=1.6,
    ),
    "rock": Style(
        (96, 160),
        ("major", "minor", "mixolydian"),
        ("rock", "rock", "disco"),
        (("eighths", E_BASS), ("stab", E_BASS)),
        (
            ("power", DRIVE, 0.9), ("chug", DRIVE, 0.6), ("strum", CLEAN, 0.5),
            ("lead", ("guitar:29", "font:29", "font:30"), 0.6), ("organ", ("font:16", "font:18", "poly:organ"), 0.35),
            ("beats", ("font:0", "font:1"), 0.25),
        ),
        ACOUSTIC,
        (("4/4", 0.85), ("3/4", 0.05), ("6/8", 0.1)),
        weight=1.6,
    ),
    "metal": Style(
        (110, 200),
        ("minor", "phrygian", "harmonic"),
        ("metal", "metal", "rock"),
        (("eighths", E_BASS), ("riff", E_BASS)),
        (
            ("chug", DRIVE, 1.0), ("power", DRIVE, 0.7), ("riff", DRIVE, 0.6),
            ("lead", ("guitar:30", "guitar:29"), 0.6), ("pad", ("font:48", "font:50"), 0.2),
        ),
        ACOUSTIC,
        (("4/4", 0.75), ("7/8", 0.15), ("6/8", 0.1)),
    ),
    "funk": Style(
        (92, 118),
        ("dorian", "mixolydian", "minor"),
        ("funk",),
        (("funk", E_BASS), ("funk", ("font:36", "font:37", "mono:square"))),
        (
            ("loose", ("font:27", "font:28", "font:26"), 0.9),
            ("stab", ("font:7", "font:4", "font:16", "font:17"), 0.7), ("stab", BRASS, 0.6),
            ("riff", BRASS + CLEAN, 0.4), ("lead", LEADS, 0.3),
        ),
        ACOUSTIC,
        swing=(0.4, 0.15),
        chord_size=(4, 3, 5),
    ),
    "disco": Style(
        (108, 126),
        ("minor", "dorian", "major"),
        ("disco", "four"),
        (("octaves", (*E_BASS, "poly:bass", "mono:saw")), ("funk", E_BASS)),
        (
            ("loose", ("font:27", "font:28"), 0.7), ("pad", STRINGS, 0.8), ("stab", BRASS, 0.5), ("beats", KEYS, 0.4),
            ("riff", STRINGS, 0.4), ("arp", PLUCKS, 0.3),
        ),
        ("font", "muldjord", "synth", "sonic"),
        ducked=0.2,
        chord_size=(4, 3),
    ),
    "house": Style(
        (118, 128),
        ("minor", "dorian", "major"),
        ("four",),
        (("offbeat", S_BASS), ("stab", S_BASS), ("octaves", S_BASS), ("funk", S_BASS)),
        (
            ("stab", STABS + KEYS, 0.9), ("pad", PADS, 0.7), ("arp", PLUCKS, 0.5), ("lead", SYNTH_LEADS, 0.4),
            ("fx", FX, 0.8), ("organ", ("poly:organ", "font:16", "font:17"), 0.3), ("riff", PLUCKS, 0.4),
        ),
        MACHINE,
        swing=(0.4, 0.12),
        ducked=0.8,
        electronic=True,
        chord_size=(3, 4, 4),
        weight=2.2,
    ),
    "techno": Style(
        (122, 146),
        ("minor", "phrygian"),
        ("four",),
        (("rolling", S_BASS), ("acid", ("mono:acid",)), ("offbeat", S_BASS), ("eighths", S_BASS)),
        (
            ("riff", ("mono:acid", "poly:pluck", "poly:fmbell", "poly:stab"), 0.8),
            ("pad", ("poly:pad", "font:95"), 0.6), ("stab", STABS, 0.6), ("arp", PLUCKS, 0.5), ("fx", FX, 0.9),
        ),
        MACHINE,
        ducked=0.7,
        electronic=True,
        weight=1.6,
    ),
    "trance": Style(
        (130, 142),
        ("minor", "major", "harmonic"),
        ("four",),
        (("rolling", S_BASS), ("offbeat", S_BASS)),
        (
            ("gated", ("poly:supersaw", "poly:supersaw", "poly:stab"), 0.7),
            ("arp", ("poly:pluck", "poly:saw", "poly:supersaw"), 0.9), ("pad", PADS, 0.9),
            ("lead", ("poly:supersaw", "mono:lead"), 0.6), ("fx", FX, 0.9), ("beats", ("font:0", "font:1"), 0.3),
        ),
        MACHINE,
        ducked=0.9,
        electronic=True,
        weight=1.8,
    ),
    "drum and bass": Style(
        (165, 178),
        ("minor", "dorian"),
        ("breaks",),
        (("long", ("poly:reese", "mono:sub", "poly:reese", "mono:wobble")), ("stab", (*S_BASS, "mono:wobble"))),
        (
            ("pad", PADS, 0.9), ("stab", KEYS + STABS, 0.5), ("arp", PLUCKS, 0.5), ("lead", SYNTH_LEADS, 0.4),
            ("fx", FX, 0.8),
        ),
        (*MACHINE, "font", "muldjord"),
        ducked=0.4,
        electronic=True,
        chord_size=(3, 4),
        weight=1.5,
    ),
    "dubstep": Style(
        (138, 144),
        ("minor", "phrygian"),
        ("trap",),
        (("stab", ("mono:wobble", "mono:wobble", "poly:reese")), ("long", ("mono:wobble", "mono:sub"))),
        (("pad", PADS, 0.6), ("stab", STABS, 0.6), ("lead", SYNTH_LEADS, 0.5), ("arp", PLUCKS, 0.4), ("fx", FX, 0.9)),
        MACHINE,
        ducked=0.5,
        electronic=True,
    ),
    "trap": Style(
        (66, 84),
        ("minor", "harmonic", "phrygian"),
        ("trap",),
        (("stab", ("mono:808",)), ("long", ("mono:808", "mono:sub"))),
        (
            ("riff", ("poly:fmbell", "font:11", "font:0", "poly:pluck", "font:73", "font:46"), 0.9),
            ("pad", PADS, 0.7), ("arp", PLUCKS, 0.4), ("lead", SYNTH_LEADS, 0.3), ("broken", KEYS, 0.4),
            ("fx", FX, 0.3),
        ),
        MACHINE,
        ducked=0.3,
        electronic=True,
        weight=1.4,
    ),
    "hip-hop": Style(
        (80, 100),
        ("minor", "dorian"),
        ("boombap", "trap"),
        (("stab", (*E_BASS, "mono:sub")), ("funk", E_BASS), ("long", ("mono:sub", "mono:808"))),
        (("stab", KEYS, 0.8), ("riff", KEYS + STRINGS + BRASS, 0.7), ("pad", PADS, 0.5), ("loose", CLEAN, 0.3)),
        ACOUSTIC + MACHINE,
        swing=(0.7, 0.2),
        chord_size=(4, 5, 3),
    ),
    "reggae": Style(
        (66, 92),
        ("minor", "major", "mixolydian"),
        ("reggae",),
        (("stab", (*E_BASS, "mono:sub")), ("funk", ("font:33", "mono:sub", "sampled:bass-yr"))),
        (
            ("skank", (*CLEAN, "font:16", "font:0"), 1.0), ("organ", ("font:16", "font:17", "poly:organ"), 0.7),
            ("riff", BRASS, 0.4), ("lead", LEADS, 0.4),
        ),
        ("font", "muldjord", "sonic"),
        swing=(0.5, 0.2),
    ),
    "ballad": Style(
        (60, 84),
        ("major", "minor"),
        ("soft",),
        (("long", E_BASS + UP_BASS), ("fifths", E_BASS)),
        (
            ("broken", ("font:0", "font:1", "font:24", "font:4", "font:46"), 0.9), ("pad", STRINGS + PADS, 0.9),
            ("beats", KEYS, 0.4), ("lead", LEADS, 0.4), ("strum", CLEAN, 0.3),
        ),
        ACOUSTIC,
        (("4/4", 0.6), ("3/4", 0.15), ("6/8", 0.25)),
        weight=1.3,
    ),
    "jazz": Style(
        (100, 180),
        ("major", "dorian", "minor"),
        ("swing",),
        (("walking", (*UP_BASS, "font:33")),),
        (
            ("loose", ("font:0", "font:26", "font:4"), 1.0),
            ("lead", ("font:65", "font:66", "font:56", "font:59", "font:71", "font:11", "font:0"), 0.9),
            ("pad", STRINGS, 0.15), ("stab", BRASS, 0.3),
        ),
        ("font-jazz", "font-brush", "muldjord"),
        (("4/4", 0.75), ("3/4", 0.25)),
        swing=(1.0, 0.3),
        swing_unit=2,
        chord_size=(4, 5),
    ),
    "latin": Style(
        (88, 128),
        ("minor", "major", "harmonic"),
        ("latin",),
        (("tumbao", UP_BASS + E_BASS), ("fifths", E_BASS)),
        (
            ("stab", ("font:0", "font:1", "font:24"), 0.9), ("strum", ("font:24", "font:25"), 0.5),
            ("riff", BRASS, 0.7), ("lead", LEADS, 0.4), ("pad", STRINGS, 0.3),
        ),
        ("font", "muldjord", "font"),
        chord_size=(3, 4),
    ),
    "synthwave": Style(
        (84, 118),
        ("minor", "dorian"),
        ("rock", "four"),
        (("eighths", S_BASS), ("octaves", S_BASS), ("rolling", S_BASS)),
        (
            ("pad", ("poly:pad", "poly:strings", "font:50", "font:51"), 1.0),
            ("arp", ("poly:saw", "poly:pulse", "poly:pluck"), 0.8), ("lead", SYNTH_LEADS, 0.7), ("stab", STABS, 0.4),
            ("fx", FX, 0.4), ("power", DRIVE, 0.15),
        ),
        MACHINE,
        ducked=0.4,
        electronic=True,
        weight=1.5,
    ),
    "electropop": Style(
        (100, 132),
        ("minor", "major"),
        ("four", "rock", "breaks", "trap"),
        (("eighths", S_BASS), ("stab", S_BASS), ("octaves", S_BASS), ("long", ("mono:sub", "poly:reese"))),
        (
            ("stab", STABS, 0.7), ("pad", PADS, 0.7), ("arp", PLUCKS, 0.7), ("riff", PLUCKS + STABS, 0.5),
            ("lead", SYNTH_LEADS, 0.5), ("loose", CLEAN, 0.2), ("beats", KEYS, 0.3), ("fx", FX, 0.6),
        ),
        (*MACHINE, "font", "muldjord"),
        ducked=0.5,
        electronic=True,
        weight=2.4,
    ),
    "chiptune": Style(
        (110, 180),
        ("minor", "major"),
        ("rock", "four"),
        (("octaves", ("poly:pulse", "mono:square", "poly:triangle")), ("eighths", ("poly:triangle", "mono:square"))),
        (
            ("arp", ("poly:pulse", "poly:square"), 1.0), ("riff", ("poly:pulse", "poly:square"), 0.7),
            ("lead", ("poly:square", "poly:pulse", "font:80"), 0.8), ("pad", ("poly:pulse", "poly:pad"), 0.3),
        ),
        ("synth", "audiophob", "sonic"),
        (("4/4", 0.85), ("3/4", 0.15)),
        electronic=True,
        weight=0.7,
    ),
    "folk": Style(
        (80, 132),
        ("major", "mixolydian", "minor"),
        ("train", "soft"),
        (("fifths", UP_BASS + E_BASS),),
        (
            ("strum", ("font:24", "font:25", "font:25"), 1.0), ("broken", ("font:24", "font:25", "font:105"), 0.5),
            ("lead", ("font:40", "font:73", "font:22", "font:21", "font:110"), 0.6),
            ("pad", ("font:21", "font:48", "font:20"), 0.4),
        ),
        ("font-brush", "muldjord", "font"),
        (("4/4", 0.55), ("3/4", 0.25), ("6/8", 0.2)),
    ),
    "prog": Style(
        (96, 152),
        ("minor", "dorian", "phrygian"),
        ("rock", "metal", "funk"),
        (("riff", E_BASS), ("stab", E_BASS), ("eighths", E_BASS + S_BASS)),
        (
            ("riff", (*DRIVE, *KEYS, "poly:saw", "font:18"), 0.9), ("power", DRIVE, 0.6),
            ("pad", (*PADS, "font:18"), 0.6), ("arp", PLUCKS + CLEAN, 0.5), ("lead", (*SYNTH_LEADS, "guitar:29"), 0.6),
        ),
        ACOUSTIC,
        (("5/4", 0.35), ("7/8", 0.45), ("4/4", 0.1), ("6/8", 0.1)),
        weight=1.2,
    ),
    "ambient": Style(
        (60, 100),
        ("major", "minor", "dorian"),
        ("soft", "trap", "four"),
        (("long", ("mono:sub", "poly:bass", "font:39")),),
        (
            ("pad", PADS, 1.0), ("pad", PADS, 0.7), ("broken", KEYS + PLUCKS, 0.7), ("arp", PLUCKS, 0.5),
            ("lead", ("font:73", "mono:lead", "poly:fmbell"), 0.4), ("fx", FX, 0.5),
        ),
        MACHINE,
        ducked=0.3,
        electronic=True,
        chord_size=(3, 4, 5),
        weight=0.8,
    ),
}  # fmt: skip
