"""A composed song as sound: tracks through engines and effects, tracks to stems, stems balanced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from training.corpus import RATE
from training.levels import gain_of, lufs
from training.songs import effects, fonts, kits, oneshots, synths
from training.songs.effects import loudness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.songs.effects import Sound
    from training.songs.plan import Note, Song, Track, Voice

LEVELS = {"drums": (-20.0, 3.0), "bass": (-20.0, 3.0), "other": (-18.5, 3.0)}  # LUFS: mean and spread
FONT_KITS = {
    "font": (0, 0, 8, 16, 16, 40, 32),
    "font-machine": (24, 25, 25, 24),
    "font-jazz": (32, 0),
    "font-brush": (40, 40, 0),
}
MIXED = ("synth", "rumpf", "sonic", "audiophob")
TEST_KITS = {"muldjord": "blackpearl", "audiophob": "hardelectro", "rumpf": "empire", "sonic": "empire"}
TEST_PROGRAMS = {"bass-yr": "33", "bass-growly": "34", "bass-meat": "32", "tones": "11", "texture": "89"}


class Renderer:
    """Renders one song; `held_out` swaps every recorded sound for ones that training never hears."""

    def __init__(self, song: Song, *, held_out: bool) -> None:
        self.song = song
        self.held_out = held_out
        self.rng = np.random.default_rng([song.seed, 5])
        self.frames = int(song.seconds * RATE)
        self.beat = 60 / song.tempo
        self.sources: set[str] = set()

    def stems(self) -> dict[str, Sound]:
        """Each stem that the song has, float32 [2, frames], peaks under 1."""
        mixed: dict[str, Sound] = {}
        sends: dict[str, Sound] = {}
        kicks = [hit.start for hit in self.song.hits if hit.piece == "kick"]
        for track in self.song.tracks:
            if not track.notes:
                continue
            dry, wet = self._track(track)
            mixed[track.stem] = mixed.get(track.stem, 0) + dry
            if wet is not None:
                sends[track.stem] = sends.get(track.stem, 0) + wet
        if sends.get("other") is not None:
            seconds = float(self.rng.choice([0.4, 0.8, 1.4, 2.2, 3.0]) * self.rng.uniform(0.8, 1.2))
            damping, late = float(self.rng.uniform(0.3, 0.8)), float(self.rng.uniform(0, 0.03))
            seed = int(self.rng.integers(100))
            mixed["other"] += effects.room(sends["other"], seconds=seconds, damping=damping, pre_delay=late, seed=seed)
        if self.song.ducked and kicks:
            release = min(float(self.rng.uniform(0.7, 1.0)) * self.beat, 0.45)
            for stem, share in (("bass", 1.0), ("other", 0.85)):
                if stem in mixed:
                    mixed[stem] *= effects.duck(
                        kicks, depth=share * self.song.ducked, release=release, frames=self.frames
                    )
        if self.song.hits:
            mixed["drums"] = self._drums()
        self._hold_breath(mixed)
        return {stem: self._finish(stem, sound) for stem, sound in mixed.items() if loudness(sound) > -60}

    def _hold_breath(self, mixed: dict[str, Sound]) -> None:
        """Now and then everybody stops for the last beat before a drop or a chorus."""
        for start, kind in self.song.sections[1:]:
            if kind in {"drop", "chorus"} and self.rng.random() < (0.35 if self.song.ducked else 0.08):
                first = int((start - self.beat * float(self.rng.choice([0.5, 1.0, 2.0]))) * RATE)
                for sound in mixed.values():
                    sound[:, first : first + 441] *= np.linspace(1, 0, 441, dtype=np.float32)
                    sound[:, first + 441 : int((start - 0.005) * RATE)] = 0

    def _font(self) -> str:
        font = "TimGM6mb" if self.held_out else ("FluidR3" if self.rng.random() < 0.6 else "MuseScore")
        self.sources.add(fonts.FONTS[font][1])
        return font

    def _engine(self, track: Track) -> Sound:
        """The bare sound of a track."""
        voice, notes = track.voice, track.notes
        if voice.engine in {"sampled", "texture"} and self.held_out:
            voice = replace(voice, engine="font", name=TEST_PROGRAMS.get(voice.name, "38"))
        if voice.engine == "font":
            wheel = int(self.rng.choice([0, 0, 30, 60])) if track.role == "lead" else 0
            sound = fonts.play(self._font(), notes, program=int(voice.name), frames=self.frames, wheel=wheel)
        elif voice.engine == "guitar":
            program = int(voice.name) if self.rng.random() < 0.5 else 27
            raw = fonts.play(self._font(), notes, program=program, frames=self.frames)
            gain = float(self.rng.uniform(0.3, 1)) if program == 27 else 0.3
            sound = effects.amplifier(raw, gain=gain, tone=voice.settings["b"])
        elif voice.engine in {"sampled", "texture"}:
            self.sources.add(kits.CREDITS.get(voice.name, kits.CREDITS["sonic"]))
            if voice.engine == "texture":
                sound = oneshots.texture(notes, frames=self.frames, rng=self.rng)
            else:
                sound = oneshots.notes_of(voice.name, notes, frames=self.frames, rng=self.rng)
        else:
            self.sources.add(kits.CREDITS["synth"])
            sound = self._synth(voice, notes)
        return sound

    def _synth(self, voice: Voice, notes: Sequence[Note]) -> Sound:
        """The bare sound of a track that a synthesizer plays."""
        if voice.engine == "poly":
            return synths.poly(voice.name, voice.settings, notes, frames=self.frames)
        if voice.engine == "mono":
            return synths.mono(voice.name, voice.settings, notes, frames=self.frames, beat=self.beat)
        return synths.effect(voice.name, voice.settings, notes, frames=self.frames)

    def _track(self, track: Track) -> tuple[Sound, Sound | None]:
        """A track at its level, and what of it goes to the room."""
        knobs = dict(track.effects)
        sound = self._inserted(self._engine(track), knobs)
        if track.stem == "bass":
            sound = self._bass(sound)
        elif track.role != "fx":
            sound = effects.filtered(sound, "high", float(self.rng.uniform(50, 180)), order=1)
        level = loudness(sound)
        if level < -100:
            return sound, None
        sound = effects.pan(sound, place=track.place) * np.float32(gain_of(-20 + track.gain_db - level))
        if "echo" in knobs:
            sound = sound + effects.echo(
                sound, seconds=self.beat * float(self.rng.choice([0.5, 0.75, 1.0])), fall=0.5
            ) * np.float32(knobs["echo"])
        return sound, sound * np.float32(knobs["room"]) if knobs.get("room", 0) > 0.05 else None

    def _inserted(self, sound: Sound, knobs: dict[str, float]) -> Sound:
        """A track through its insert effects."""
        if "crush" in knobs:
            sound = effects.crush(sound, every=1 + int(5 * knobs["crush"]), bits=6 + int(5 * knobs["crush"]))
        if "drive" in knobs:
            sound = effects.drive(sound, amount=knobs["drive"])
        if "tilt" in knobs:
            sound = effects.tilt(
                sound, db=float(np.clip(1.5 + self.rng.normal() * 4, -9, 10)), hertz=300 * 10 ** knobs["tilt"]
            )
        if "phaser" in knobs:
            sound = effects.phaser(sound, hertz=0.1 + 0.5 * knobs["phaser"], depth=0.8)
        if "tremolo" in knobs:
            sound = effects.tremolo(sound, hertz=3 + 4 * knobs["tremolo"], depth=0.6, panned=knobs["tremolo"] > 0.5)
        if "gate" in knobs:
            sound = effects.tremolo(
                sound, hertz=(1 if knobs["gate"] < 0.3 else 2) / self.beat, depth=0.9, panned=False, square=True
            )
        if "sweep" in knobs:
            sound = effects.sweep(sound, self._automation(knobs["sweep"]), quality=0.7 + 1.5 * knobs["sweep"])
        if "chorus" in knobs:
            sound = effects.chorus(sound, depth=knobs["chorus"], rate=0.3 + 1.5 * knobs["chorus"])
        if "double" in knobs:
            late = int(self.rng.uniform(0.008, 0.02) * RATE)
            sound = sound.copy()  # a second take, later and darker, on the other side
            sound[1, late:] = (1 - 0.7 * knobs["double"]) * sound[1, late:] + 0.7 * knobs["double"] * sound[1, :-late]
        return sound

    def _bass(self, sound: Sound) -> Sound:
        """Bass strip: compressor, a little drive, near mono below."""
        if self.rng.random() < 0.6:
            sound = effects.compress(sound, ratio=float(self.rng.uniform(2, 6)))
        if self.rng.random() < 0.45:
            sound = effects.drive(sound, amount=float(self.rng.uniform(0.05, 0.7)))
        if self.song.ducked or self.rng.random() < 0.4:
            sound = effects.tilt(sound, db=-float(self.rng.uniform(0, 10)), hertz=float(self.rng.uniform(70, 140)))
        middle = sound.mean(axis=0, keepdims=True)
        return np.asarray(middle + np.float32(self.rng.choice([0.0, 0.0, 0.5])) * (sound - middle))

    def _automation(self, knob: float) -> NDArray[np.float64]:
        """A filter's cutoff in Hz for each 512 frames: opens over the sections, wide in the choruses."""
        at = np.arange(0, self.frames, 512) / RATE
        starts = [start for start, _ in self.song.sections]
        opened = [
            {"chorus": 1.0, "drop": 1.0, "solo": 0.9, "verse": 0.65, "build": 0.5}.get(kind, 0.45)
            for _, kind in self.song.sections
        ]
        wave = np.sin(2 * np.pi * at / (self.beat * 32 * (0.5 + knob)))
        return np.asarray(250 * 2 ** (np.interp(at, starts, opened) * 5.5 + 0.8 * wave))

    def _opening(self) -> NDArray[np.float64]:
        """A cutoff in Hz for each 512 frames: shut in calm sections, wide open in the rest."""
        at = np.arange(0, self.frames, 512) / RATE
        starts = np.array([start for start, _ in self.song.sections])
        ends = np.array([*starts[1:], self.song.seconds])
        out = np.full(len(at), 18000.0)
        for start, end, (_, kind) in zip(starts, ends, self.song.sections, strict=True):
            inside = (at >= start) & (at < end)
            if kind in {"intro", "build", "break"}:
                out[inside] = 300 * 60 ** ((at[inside] - start) / (end - start))
        return out

    def _drums(self) -> Sound:
        """The drum stem: a kit, its room, a compressor."""
        name = self.song.kit.name if self.song.kit else "synth"
        if self.held_out:
            name = "millo" if name == "muldjord" and self.rng.random() < 0.4 else TEST_KITS.get(name, name)
        if name in FONT_KITS:
            pairs = {"kick": (35, 36), "snare": (38, 40), "crash": (49, 57), "ride": (51, 59), "shaker": (70, 82)}
            swaps = {piece: int(self.rng.choice(keys)) for piece, keys in pairs.items()}
            sound = fonts.drum(
                self._font(),
                self.song.hits,
                program=int(self.rng.choice(FONT_KITS[name])),
                frames=self.frames,
                swaps=swaps,
            )
        else:
            self.sources.add(kits.CREDITS[name])
            other = str(self.rng.choice(MIXED)) if self.rng.random() < 0.35 and not self.held_out else ""
            tuned = (
                float(self.rng.uniform(-2, 6))
                if name == "muldjord" and self.song.style in {"drum and bass", "hip-hop", "electropop"}
                else 0.0
            )
            self.sources |= {kits.CREDITS[other]} if other else set()
            sound = oneshots.drums(name, self.song.hits, frames=self.frames, rng=self.rng, other=other, tuned=tuned)
        if self.song.ducked and self.rng.random() < 0.3:
            sound = effects.sweep(sound, self._opening(), quality=0.8)
        wet = float(self.rng.uniform(0, 0.25)) * (name != "muldjord")
        if wet > 0.03:
            sound = sound + np.float32(wet) * effects.room(
                sound, seconds=float(self.rng.choice([0.3, 0.6, 1.2])), seed=int(self.rng.integers(100))
            )
        if self.rng.random() < 0.6:
            sound = effects.compress(sound, ratio=float(self.rng.uniform(1.5, 4)), attack=0.012)
        if self.rng.random() < 0.25:
            sound = effects.drive(sound, amount=float(self.rng.uniform(0.05, 0.35)))
        return sound

    def _finish(self, stem: str, sound: Sound) -> Sound:
        """A stem at its loudness, its peaks bent under full scale, its end faded."""
        mean, spread = LEVELS[stem]
        wanted = mean + float(np.clip(self.rng.normal() * spread, -6, 5))
        sound = effects.filtered(sound, "high", 24, order=1)  # no constant
        sound = sound * np.float32(gain_of(wanted - lufs(sound)))
        peak = np.abs(sound).max()
        if peak > 1.4:
            sound *= np.float32(1.4 / peak)
        sound = effects.limit(sound.astype(np.float32, copy=False))
        fade = RATE // 2
        sound[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        return sound


def facts(song: Song, sources: set[str]) -> dict[str, Any]:
    """What song.json says about a composed song."""
    return {
        "tempo": song.tempo,
        "meter": f"{song.meter[0]}/{song.meter[1]}",
        "key": song.key,
        "beats_offset": 0,
        "style": song.style,
        "sources": sorted(sources),
        "melody": [list(row) for row in song.melody],
        "sections": [list(row) for row in song.sections],
        "seed": song.seed,
        "real": False,
    }
