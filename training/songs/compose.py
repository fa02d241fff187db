"""From a seed to a song: style, key, tempo, meter, sections, and who plays what in which of them."""

from __future__ import annotations

import numpy as np

from training.songs import theory
from training.songs.arrange import basses, drums, others, sound_of
from training.songs.drumming import METERS, Grid
from training.songs.form import ENERGY, Clock, Form, choice, sections
from training.songs.melody import Tune
from training.songs.plan import Song
from training.songs.styles import STYLES

SUNG = {
    "verse": 1.0,
    "pre": 1.0,
    "chorus": 1.0,
    "bridge": 0.9,
    "break": 0.4,
    "drop": 0.35,
    "build": 0.3,
    "outro": 0.15,
    "solo": 0.0,
    "intro": 0.1,
}


def _melody(rng: np.random.Generator, *, form: Form) -> tuple[tuple[float, float, int, int], ...]:
    """The vocal line in seconds."""
    tune = Tune(rng, centre=int(rng.integers(55, 71)))
    out = []
    sung = [section for section in form.sections if rng.random() < SUNG[section.kind]]
    for section in sung or [section for section in form.sections if ENERGY[section.kind] > 0.4]:
        for step, length, pitch, syllable in tune.sing(section.kind, list(section.bars)):
            at, until = form.clock.seconds(section.start + step), form.clock.seconds(section.start + step + length)
            out.append((round(at, 4), round(until, 4), int(np.clip(pitch, 45, 84)), int(syllable)))
    return tuple(out)


def compose(seed: int, *, style_name: str | None = None) -> Song:
    """The song that a seed stands for.

    >>> compose(3) == compose(3)
    True
    """
    rng = np.random.default_rng([seed, 77])
    names = tuple(STYLES)
    weights = np.array([STYLES[name].weight for name in names])
    name = style_name or str(rng.choice(names, p=weights / weights.sum()))
    style = STYLES[name]
    meter = str(rng.choice([m for m, _ in style.meters], p=[p for _, p in style.meters]))
    if meter == "4/4" and rng.random() < 0.05:
        meter = str(rng.choice(["3/4", "6/8", "7/8", "5/4"]))
    groups = choice(rng, METERS[meter])
    grid = Grid(sum(groups), groups)
    tempo = float(rng.integers(style.tempo[0], style.tempo[1] + 1)) + (
        float(rng.random()) if not style.electronic else 0.0
    )
    step = 60 / tempo / 4
    swing = style.swing[1] * float(rng.uniform(0.6, 1.1)) if rng.random() < style.swing[0] else 0.0
    clock = Clock(step, swing if grid.steps % (2 * style.swing_unit) == 0 else 0.0, style.swing_unit)
    tonic = int(rng.integers(12))
    bars = sections(rng, style=style, grid=grid, step_seconds=step, tonic=tonic)
    loose = 0.0008 if style.electronic else float(rng.uniform(0.003, 0.01))
    form = Form(style, grid, clock, loose, bars)
    tracks = others(rng, form=form)
    if rng.random() < 0.93:
        tracks += basses(rng, form=form)
    hits = drums(rng, form=form) if rng.random() < 0.94 else ()
    kit = sound_of(rng, "kit:" + choice(rng, style.kits)) if hits else None
    last = bars[-1].start + len(bars[-1].bars) * grid.steps
    mode = "minor" if (bars[0].bars[0].chord(0).scale[2] - tonic) % 12 == 3 else "major"
    beats, unit = meter.split("/")
    return Song(
        seed=seed,
        style=name,
        tempo=round(tempo, 3),
        meter=(int(beats), int(unit)),
        key=f"{theory.NAMES[tonic]} {mode}",
        seconds=clock.seconds(last) + 2.0,
        tracks=tuple(tracks),
        hits=hits,
        kit=kit,
        melody=_melody(rng, form=form),
        sections=tuple((round(clock.seconds(s.start), 3), s.kind) for s in bars),
        ducked=float(rng.uniform(0.3, 0.95)) if rng.random() < style.ducked else 0.0,
    )
