"""Output formats as data: what each is called, what it can carry, and how ffmpeg is told."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from stemwright.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemwright.types import SampleRate

Container: TypeAlias = Literal["wav", "flac", "mp3", "opus", "mp4"]

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of audio file that can be written."""

    name: str
    summary: str
    container: Container
    extension: str  # with its dot
    muxer: str  # ffmpeg's names
    codec: str
    bits: int | None = None  # of an integer sample; None when ffmpeg is given floats
    sample_fmt: str | None = None  # what the encoder must work on; None: what it prefers
    lossless: bool = False
    max_channels: int = 8
    rates: tuple[SampleRate, ...] | None = None  # the only ones, ascending; None: any up to `max_rate`
    max_rate: SampleRate = 768_000
    bitrate: int | None = None  # bits/s unless another is asked for; None when it cannot be chosen
    bitrates: tuple[int, int] | None = None  # bits/s, the lowest and the highest
    can_be_empty: bool = False  # whether a file of no samples can exist
    options: tuple[str, ...] = ()

    @property
    def clips(self) -> bool:
        """Whether samples beyond ±1 are lost or distorted: all but float WAV."""
        return self.bits is not None or not self.lossless

    def nearest_rate(self, rate: SampleRate, /) -> SampleRate:
        """The rate in Hz to write at, for a recording at `rate` Hz: itself, else the next higher, else the highest."""
        if self.rates is not None:
            return next((own for own in self.rates if own >= rate), self.rates[-1])
        if self.codec == "flac" and rate > 65_534:  # its header counts higher rates in tens of Hz
            rate = -(-rate // 10) * 10
        return min(rate, self.max_rate)

    def check_bitrate(self, bitrate: int | None, /) -> int | None:
        """The bit rate to use, in bits/s: the one asked for, else the format's own; None when it has none.

        At low sample rates and with one channel the encoders of MP3 and AAC stay below what is asked for.
        Raises `OptionError`.
        """
        if bitrate is None:
            return self.bitrate
        if self.bitrates is None:
            raise OptionError(f"{self.name} is lossless: its bit rate cannot be chosen")
        low, high = self.bitrates
        if not low <= bitrate <= high:
            raise OptionError(f"{self.name} takes {low // 1000} to {high // 1000} kbit/s, not {bitrate / 1000:g}")
        return bitrate

    def check_channels(self, channels: int, /) -> None:
        """Raise `OptionError` when the format cannot carry that many channels."""
        if not 1 <= channels <= self.max_channels:
            raise OptionError(f"{self.name} carries 1 to {self.max_channels} channels, not {channels}")

    def check_rate(self, rate: SampleRate, /) -> None:
        """Raise `OptionError` when the format cannot carry `rate` Hz as it is."""
        if rate < 1 or self.nearest_rate(rate) != rate:
            raise OptionError(f"{self.name} cannot carry {rate} Hz")


def _wav(name: str, *, bits: int | None, codec: str, summary: str) -> Format:
    return Format(
        name=name,
        summary=summary,
        container="wav",
        extension=".wav",
        muxer="wav",
        codec=codec,
        bits=bits,
        lossless=True,
        can_be_empty=True,
        options=("-rf64", "auto"),  # RF64 once it is over 4 GiB
    )


def _flac(name: str, *, bits: int, sample_fmt: str) -> Format:
    return Format(
        name=name,
        summary=f"FLAC, {bits} bits: lossless, about half the size of WAV",
        container="flac",
        extension=".flac",
        muxer="flac",
        codec="flac",
        bits=bits,
        sample_fmt=sample_fmt,
        lossless=True,
        max_rate=655_340,  # ffmpeg 5.1 refuses FLAC's own 655350
        can_be_empty=True,
        options=("-frame_size", "4608"),  # else ffmpeg 9 takes the size of its first read: it fails below 16 samples
    )


def _alac(name: str, *, bits: int, sample_fmt: str) -> Format:
    return Format(
        name=name,
        summary=f"Apple Lossless, {bits} bits, in an .m4a file",
        container="mp4",
        extension=".m4a",
        muxer="ipod",
        codec="alac",
        bits=bits,
        sample_fmt=sample_fmt,
        lossless=True,
    )


_ALL = (
    _wav("wav16", bits=16, codec="pcm_s16le", summary="WAV, 16 bits: read by everything"),
    _wav("wav24", bits=24, codec="pcm_s24le", summary="WAV, 24 bits: for further work in a studio program"),
    _wav("wav32f", bits=None, codec="pcm_f32le", summary="WAV, 32-bit float: nothing is rounded, nothing clips"),
    _flac("flac16", bits=16, sample_fmt="s16"),
    _flac("flac24", bits=24, sample_fmt="s32"),
    Format(
        name="mp3",
        summary="MP3, 320 kbit/s unless told otherwise",
        container="mp3",
        extension=".mp3",
        muxer="mp3",
        codec="libmp3lame",
        max_channels=2,
        rates=_MP3_RATES,
        bitrate=320_000,
        bitrates=(32_000, 320_000),
        options=("-id3v2_version", "3"),  # the one that every player and file manager reads
    ),
    Format(
        name="opus",
        summary="Opus, 160 kbit/s unless told otherwise, always at 48 kHz",
        container="opus",
        extension=".opus",
        muxer="opus",
        codec="libopus",
        max_channels=2,
        rates=(48_000,),
        bitrate=160_000,
        bitrates=(6_000, 256_000),  # 256 is the most that libopus takes for one channel
    ),
    Format(
        name="m4a",
        summary="AAC in an .m4a file, 256 kbit/s unless told otherwise",
        container="mp4",
        extension=".m4a",
        muxer="ipod",
        codec="aac",
        rates=_AAC_RATES,
        bitrate=256_000,
        bitrates=(16_000, 512_000),
    ),
    _alac("alac16", bits=16, sample_fmt="s16p"),
    _alac("alac24", bits=24, sample_fmt="s32p"),
)

FORMATS: Final[Mapping[str, Format]] = MappingProxyType({format_.name: format_ for format_ in _ALL})
ALIASES: Final[Mapping[str, str]] = MappingProxyType({"wav": "wav16", "flac": "flac16", "alac": "alac16"})


def parse_format(text: str, /) -> Format:
    """The format that a user's word means: a name of `FORMATS` or of `ALIASES`, in any case, a leading dot allowed.

    `wav`, `flac` and `alac` alone mean 16 bits, which every player and program reads.
    Raises `OptionError`, which lists the words that exist.
    """
    word = text.strip().lower().removeprefix(".")
    found = FORMATS.get(ALIASES.get(word, word))
    if found is None:
        words = ", ".join(sorted((*FORMATS, *ALIASES)))
        raise OptionError(f"no output format is called {text[:40]!r}; there are {words}")
    return found
