"""Who plays what in which sections of a song: bass, band, effects and drums, as notes and strokes in seconds."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from training.songs import drumming, parts
from training.songs.form import ENERGY, choice
from training.songs.palettes import FX
from training.songs.plan import Hit, Note, Track, Voice

if TYPE_CHECKING:
    from training.songs.drumming import Grid
    from training.songs.form import Form, Section


def sound_of(rng: np.random.Generator, name: str) -> Voice:
    """A voice out of a style's `engine:name`, with numbers of its own."""
    engine, _, rest = name.partition(":")
    settings = {key: float(rng.random()) for key in ("a", "b", "c", "d", "e")}
    return Voice(engine, rest, settings)


def _notes(rng: np.random.Generator, events: list[tuple[int, list[parts.Event]]], *, form: Form) -> tuple[Note, ...]:
    """Events at (section's or bar's start step) as notes in seconds; players scatter."""
    out = []
    for start, bar in events:
        for step, length, pitch, loud in bar:
            at = form.clock.seconds(start + step) + rng.normal() * form.loose
            until = form.clock.seconds(start + step + length)
            heard = float(np.clip(loud * (1 + rng.normal() * (0.03 + 8 * form.loose)), 0.05, 1))
            out.append(
                Note(max(at, 0.0), max(until - at, 0.03), int(np.clip(pitch, 12, 115)), heard, bool(rng.random() < 0.2))
            )
    return tuple(sorted(out, key=lambda note: note.start))


def _plays(rng: np.random.Generator, role: str, *, dense: float) -> set[str]:
    """The kinds of section in which a part is heard."""
    base = {"pad": 0.75, "fx": 0.0, "lead": 0.35, "arp": 0.6, "bass": 0.93}.get(role, 0.65)
    heard = {kind for kind in ENERGY if rng.random() < base * (0.6 + 0.6 * ENERGY[kind]) * dense}
    if role == "bass":
        heard |= {"chorus", "drop", "verse"} if rng.random() < 0.85 else {"chorus", "drop"}
        heard -= {"break", "build"} if rng.random() < 0.6 else set()
    return heard | {"chorus", "drop"} if role != "lead" or rng.random() < 0.5 else heard | {"solo", "intro", "bridge"}


GAINS = {"pad": -4.0, "arp": -4.0, "lead": 0.0, "organ": -3.0, "chug": -1.0, "power": -1.0}
WET = {  # effect -> (chance for the roles named, chance for the rest, least, most, roles)
    "echo": (0.4, 0.0, 0.1, 0.4, "pad arp lead riff stab loose skank"),
    "chorus": (0.45, 0.15, 0.2, 0.8, "pad arp beats strum"),
    "sweep": (0.35, 0.0, 0.0, 1.0, "pad arp stab gated riff"),
    "double": (0.6, 0.0, 0.5, 1.0, "chug power strum"),
    "tilt": (0.6, 0.6, 0.05, 1.0, ""),
    "drive": (0.08, 0.08, 0.05, 0.7, ""),
    "tremolo": (0.08, 0.08, 0.05, 1.0, ""),
    "phaser": (0.08, 0.08, 0.05, 1.0, ""),
    "crush": (0.03, 0.03, 0.05, 1.0, ""),
    "gate": (0.12, 0.0, 0.05, 1.0, "pad beats"),
}


def _track(
    rng: np.random.Generator,
    bars: list[tuple[int, parts.Bar]],
    *,
    role: str,
    voice: Voice,
    player: parts.Player,
    form: Form,
) -> Track:
    """One part over the bars that it plays, each with the step that it starts on."""
    stem = "bass" if role == "bass" else "other"
    effects = [("room", float(rng.uniform(0.0, 0.35)))] if stem == "other" else []
    for name, (often, seldom, least, most, roles) in WET.items():
        wanted = rng.random() < (often if role in roles.split() else seldom)
        if wanted and (stem == "other" or name in {"tilt", "drive"}):
            effects.append((name, float(rng.uniform(least, most))))
    place = 0.0 if stem == "bass" else float(np.clip(rng.normal() * 0.35, -0.9, 0.9))
    notes = _notes(rng, [(start, player(bar)) for start, bar in bars], form=form)
    return Track(stem, role, voice, notes, GAINS.get(role, -2.0) + float(rng.normal() * 2.5), place, tuple(effects))


def _heard(rng: np.random.Generator, sections: tuple[Section, ...], *, kinds: set[str]) -> list[tuple[int, parts.Bar]]:
    """The bars of the sections of these kinds, with their start steps; some sections only from their middle on."""
    out = []
    for section in sections:
        if section.kind in kinds:
            first = len(section.bars) // 2 if rng.random() < 0.15 else 0
            out += [(section.start + i * bar.grid.steps, bar) for i, bar in enumerate(section.bars) if i >= first]
    return out


CENTRES = {"pad": 60, "arp": 67, "riff": 64, "lead": 73, "chug": 42, "power": 45, "strum": 57, "broken": 62}


def _player(rng: np.random.Generator, grid: Grid, *, role: str, voice: Voice) -> parts.Player:
    """Who plays a role."""
    centre = CENTRES.get(role, 61) + int(rng.integers(-4, 6)) - 18 * (role == "riff" and voice.engine == "guitar")
    if role == "arp":
        return parts.arp(rng, grid, centre=centre)
    if role in {"riff", "lead"}:
        return parts.line(rng, grid, kind=role, centre=centre)
    return parts.comp(rng, grid, kind="pad" if role == "organ" else role, centre=centre)


def others(rng: np.random.Generator, *, form: Form) -> list[Track]:
    """The band without drums and bass."""
    chosen = [part for part in form.style.parts if rng.random() < part[2]] or [form.style.parts[0]]
    dense = float(rng.uniform(0.75, 1.15))
    out: list[Track] = []
    covered: list[set[str]] = []
    if rng.random() < (0.25 if form.style.electronic else 0.06):
        out.append(_texture(rng, form=form))
    for role, sounds, _ in chosen:
        voice = sound_of(rng, choice(rng, sounds))
        if role == "fx":
            out += _effects(rng, form=form)
            continue
        heard = _plays(rng, role, dense=dense)
        heard |= {
            kind
            for kind in ENERGY
            if not any(kind in before for before in covered) and len(out) + 1 >= len(chosen) / 2 and rng.random() < 0.7
        }
        covered.append(heard)
        player = _player(rng, form.grid, role=role, voice=voice)
        bars = _heard(rng, form.sections, kinds=heard)
        out.append(_track(rng, bars, role=role, voice=voice, player=player, form=form))
    return out


def _texture(rng: np.random.Generator, *, form: Form) -> Track:
    """A recorded ambience, laid again at each fourth bar."""
    heard = {kind for kind in ENERGY if rng.random() < 0.6}
    notes = []
    for section in form.sections:
        steps = section.bars[0].grid.steps
        for index in range(0, len(section.bars), 4) if section.kind in heard else ():
            at, until = (
                form.clock.seconds(section.start + index * steps),
                form.clock.seconds(section.start + (index + 4) * steps),
            )
            notes.append(Note(at, until - at, 60, 0.8))
    return Track(
        "other", "fx", Voice("texture", "texture"), tuple(notes), -8.0 + float(rng.normal() * 3), 0.0, (("room", 0.3),)
    )


def basses(rng: np.random.Generator, *, form: Form) -> list[Track]:
    """The bass; in electronic styles now and then a sine below another sound."""
    kind, sounds = choice(rng, form.style.basses)
    voice = sound_of(rng, choice(rng, sounds))
    lowest = (26, 33) if voice.name == "808" else ((22, 33) if form.style.electronic else (28, 36))
    low = int(rng.integers(*lowest))
    heard = _plays(rng, "bass", dense=1.0)
    player = parts.bass(rng, form.grid, kind=kind, low=low)
    bars = _heard(rng, form.sections, kinds=heard)
    out = [_track(rng, bars, role="bass", voice=voice, player=player, form=form)]
    if form.style.electronic and voice.name not in {"sub", "808"} and rng.random() < 0.35:
        below = tuple(replace(note, pitch=note.pitch - 12 * (note.pitch > 38)) for note in out[0].notes)
        out.append(Track("bass", "bass", sound_of(rng, "mono:sub"), below, out[0].gain_db + float(rng.uniform(-3, 6))))
    return out


def _effects(rng: np.random.Generator, *, form: Form) -> list[Track]:
    """Risers that end, and impacts that start, on a section's first beat."""
    out = []
    for name in sorted({choice(rng, FX), choice(rng, FX)}):
        notes = []
        for before, section in pairwise(form.sections):
            if ENERGY[section.kind] < 0.5 and rng.random() < 0.7:
                continue
            at = form.clock.seconds(section.start)
            bar = form.clock.seconds(section.start) - form.clock.seconds(section.start - before.bars[0].grid.steps)
            length = bar * float(rng.choice([1, 2, 4]))
            notes.append(
                Note(at, 3.0, 60, 0.8) if name == "fx:impact" else Note(max(at - length, 0.0), length, 60, 0.8)
            )
        out.append(
            Track(
                "other", "fx", sound_of(rng, name), tuple(notes), -5.0 + float(rng.normal() * 3), 0.0, (("room", 0.3),)
            )
        )
    return out


def drums(rng: np.random.Generator, *, form: Form) -> tuple[Hit, ...]:
    """Strokes of the whole song: a groove for each kind of section, fills at the ends, crashes at the starts."""
    groove = drumming.GROOVES[choice(rng, form.style.grooves)]
    seeds = {kind: int(rng.integers(1 << 30)) for kind in ENERGY}
    for twin, kind in (("drop", "chorus"), ("solo", "chorus"), ("pre", "verse"), ("outro", "verse")):
        seeds[twin] = seeds[kind] if rng.random() < 0.6 else seeds[twin]
    silent = {
        kind
        for kind, chance in (("intro", 0.4), ("break", 0.6), ("outro", 0.3), ("bridge", 0.2), ("verse", 0.08))
        if rng.random() < chance
    }
    extra = [p for p in ("shaker", "tamb", "clap", "conga1", "bongo1", "cowbell", "snap") if rng.random() < 0.06]
    fills = float(rng.uniform(0.3, 1.0)) if not form.style.electronic else float(rng.uniform(0.0, 0.7))
    out: list[Hit] = []
    for section in form.sections:
        if section.kind in silent:
            continue
        count = len(section.bars)
        for index in range(count):
            fixed = np.random.default_rng(seeds[section.kind] + (index % 4 == 3))
            strokes = groove(fixed, form.grid, ENERGY[section.kind])
            if section.kind == "build":
                strokes = drumming.build(fixed, form.grid, (index + 1) / count) + [
                    s for s in strokes if s[1] == "kick" and index < count - 1
                ]
            for piece in extra if ENERGY[section.kind] > 0.5 else ():
                steps = range(0, form.grid.steps, 2 if piece in {"shaker", "tamb"} else 6)
                strokes += [(s, piece, 0.4 + 0.2 * (s % 4 == 0)) for s in steps]
            if index == count - 1 and rng.random() < fills:
                start, played = drumming.fill(rng, form.grid)
                strokes = [s for s in strokes if s[0] < start] + played
            if index == 0 and ENERGY[section.kind] > 0.5 and rng.random() < 0.8:
                strokes = [*strokes, (0, "crash", 0.8)]
            base = section.start + index * form.grid.steps
            for step, piece, loud in strokes:
                at = form.clock.seconds(base + step) + rng.normal() * form.loose
                out.append(
                    Hit(
                        max(at, 0.0),
                        piece,
                        float(np.clip(loud * (1 + rng.normal() * (0.04 + 8 * form.loose)), 0.05, 1)),
                    )
                )
    return tuple(sorted(out, key=lambda hit: hit.start))
