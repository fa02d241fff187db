"""What the first reading of a song finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stemwright.engine.receipt import Loudness, NoticeRecord
from stemwright.records import Record
from stemwright.types import Digest, SampleRate, Seconds


class TempoRecord(Record):
    """The tempo of a song, and how the same pulse may be counted otherwise."""

    bpm: float
    confidence: float = Field(description="0–1: how clear the pulse is.")
    octave: float | None = Field(description="The strongest other reading, such as half or double; BPM.")
    octave_strength: float = Field(description="0–1, beside the first.")


class KeyRecord(Record):
    """The key of a song."""

    name: str
    tonic: str
    mode: Literal["major", "minor"]
    camelot: str
    open_key: str
    confidence: float = Field(description="0–1.")


class AnalysisRecord(Record):
    """What was heard in a song."""

    tempo: TempoRecord | None = Field(description="Null where there is no pulse.")
    key: KeyRecord | None = Field(description="Null where there is no key.")
    loudness: Loudness | None = Field(default=None, description="Where it was measured without stems.")
    warnings: tuple[NoticeRecord, ...] = ()


class SongFacts(Record):
    """A recording: its samples' digest, its shape, its tags, and what was heard in it."""

    pcm_digest: Digest
    duration: Seconds
    sample_rate: SampleRate
    channels: int
    title: str
    artist: str
    analysis: AnalysisRecord | None


class KnownFacts(Record):
    """What is known of a recording so far."""

    duration: Seconds | None = None
    sample_rate: SampleRate | None = None
    channels: int | None = None
    analysis: AnalysisRecord | None = None  # None: nobody has listened yet
    loudness: Loudness | None = None  # of the whole, whoever measured it
