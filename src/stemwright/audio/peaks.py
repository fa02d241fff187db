"""Waveform overviews: the lowest and highest sample of each pixel, in the files of BBC audiowaveform (version 2)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.errors import CorruptInputError

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.types import SampleRate, Samples, Seconds

PixelValues: TypeAlias = npt.NDArray[np.int16] | npt.NDArray[np.int8]  # [pixels, channels, 2], lowest and highest

_VERSION: Final = 2
_HEADER: Final = struct.Struct("<iIiiIi")  # version, flags, sample rate, samples per pixel, length, channels
_FLAG_8_BIT: Final = 1
_MAX_CHANNELS: Final = 24
_DTYPES: Final[dict[int, npt.DTypeLike]] = {8: np.int8, 16: "<i2"}


@dataclass(frozen=True, slots=True, eq=False)
class PeakData:
    """An overview of one waveform: [pixels, channels, 2] int16 or int8, lowest then highest.

    Full scale is ±32767 or ±127.
    """

    values: PixelValues
    sample_rate: SampleRate
    samples_per_pixel: int

    @property
    def bits(self) -> int:
        """The resolution: 8 or 16."""
        return 8 * self.values.itemsize

    @property
    def seconds(self) -> Seconds:
        """The length that the pixels span; the last one may reach past the end of the recording."""
        return len(self.values) * self.samples_per_pixel / self.sample_rate

    def to_dat(self) -> bytes:
        """Give the binary form (.dat): a header of 24 bytes, then the values, all little-endian.

        Source: BBC audiowaveform, doc/DataFormat.md.
        """
        flags = _FLAG_8_BIT if self.bits == 8 else 0
        length, channels, _ = self.values.shape
        header = _HEADER.pack(_VERSION, flags, self.sample_rate, self.samples_per_pixel, length, channels)
        return header + self.values.astype(_DTYPES[self.bits]).tobytes()

    def to_json(self) -> str:
        """Give the JSON form, on one line. Source: BBC audiowaveform, doc/DataFormat.md."""
        length, channels, _ = self.values.shape
        fields = {
            "version": _VERSION,
            "channels": channels,
            "sample_rate": self.sample_rate,
            "samples_per_pixel": self.samples_per_pixel,
            "bits": self.bits,
            "length": length,
            "data": self.values.ravel().tolist(),
        }
        return json.dumps(fields, separators=(",", ":"))

    def write_dat(self, path: Path) -> None:
        """Write the binary form to a file. Raises OSError."""
        path.write_bytes(self.to_dat())

    def write_json(self, path: Path) -> None:
        """Write the JSON form to a file. Raises OSError."""
        path.write_text(self.to_json() + "\n", encoding="ascii")


class Peaks:
    """Makes the overview of a stream of blocks.

    Channels are averaged into one waveform, or kept apart with `split`. Floats are scaled as audiowaveform does: times
    32767, cut at 16 bits, fraction dropped towards zero; for 8 bits that is divided by 256, fraction dropped again. A
    last incomplete pixel is kept. (audiowaveform drops fractions before it averages, and takes the integers of a 16-bit
    file as they are, so its values can differ from these by 1.) Memory holds the result only: 2.5 MB an hour
    of 44.1 kHz mono at 256 samples a pixel.

    Raises ValueError for fewer than 2 samples a pixel.
    """

    def __init__(self, sample_rate: SampleRate, *, samples_per_pixel: int = 256, split: bool = False) -> None:
        if samples_per_pixel < 2:
            raise ValueError("a pixel needs at least 2 samples")
        self._rate = sample_rate
        self._per_pixel = samples_per_pixel
        self._split = split
        self._channels = 0  # of the input; known with the first block
        self._values = bytearray()  # of complete pixels, as 16-bit integers
        self._rest: Samples | None = None  # samples of the incomplete pixel

    def add(self, block: Samples) -> None:
        """Take the next block, [C, T] float32 with any T.

        Raises ValueError when C is none or changes, and for samples that are not finite.
        """
        self._channels = self._channels or block.shape[0]
        if block.ndim != 2 or block.shape[0] != self._channels or not self._channels:
            raise ValueError(f"expected [{self._channels or 'C'}, T], got {list(block.shape)}")
        waves = block if self._split or self._channels == 1 else _middle(block)
        if self._rest is not None:
            waves = np.concatenate([self._rest, waves], axis=1)
        complete = waves.shape[1] // self._per_pixel * self._per_pixel
        self._values += _extremes(waves[:, :complete], self._per_pixel)
        self._rest = waves[:, complete:].copy()

    def data(self, *, bits: int = 16) -> PeakData:
        """Give the overview of all heard so far, [pixels, channels, 2] int16 or, for 8 bits, int8.

        Raises ValueError when `bits` is neither 8 nor 16.
        """
        if bits not in _DTYPES:
            raise ValueError("a value has 8 or 16 bits")
        channels = max(1, self._channels) if self._split else 1
        rest = b"" if self._rest is None else _extremes(self._rest, self._rest.shape[1])
        values = np.frombuffer(bytes(self._values) + rest, dtype=np.int16).reshape(-1, channels, 2)
        if bits == 8:
            return PeakData(np.trunc(values / 256).astype(np.int8), self._rate, self._per_pixel)
        return PeakData(values, self._rate, self._per_pixel)


def read_dat(path: Path) -> PeakData:
    """Read a binary overview: [pixels, channels, 2] int16 or int8, as the file has it.

    Raises CorruptInputError when the file is not audiowaveform data of version 2, and OSError.
    """
    content = path.read_bytes()
    if len(content) < _HEADER.size:
        raise CorruptInputError(f"{path.name} is too short for waveform data.")
    version, flags, rate, per_pixel, length, channels = _HEADER.unpack_from(content)
    _check(path, version=version, rate=rate, per_pixel=per_pixel, channels=channels)
    bits = 8 if flags & _FLAG_8_BIT else 16
    if len(content) != _HEADER.size + length * channels * 2 * bits // 8:
        raise CorruptInputError(f"{path.name} does not hold as many pixels as it says.")
    values: PixelValues = np.frombuffer(content, dtype=_DTYPES[bits], offset=_HEADER.size)
    return PeakData(values.reshape(length, channels, 2), rate, per_pixel)


def read_json(path: Path) -> PeakData:
    """Read a JSON overview: [pixels, channels, 2] int16 or int8, as the file has it.

    Raises CorruptInputError when the file is not audiowaveform data of version 2, and OSError.
    """
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        names = ("version", "channels", "sample_rate", "samples_per_pixel", "bits", "length")
        version, channels, rate, per_pixel, bits, length = (int(fields[name]) for name in names)
        _check(path, version=version, rate=rate, per_pixel=per_pixel, channels=channels)
        values: PixelValues = np.array(fields["data"], dtype=_DTYPES[bits]).reshape(length, channels, 2)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CorruptInputError(f"{path.name} is not waveform data: {error}.") from error
    return PeakData(values, rate, per_pixel)


def _check(path: Path, *, version: int, rate: int, per_pixel: int, channels: int) -> None:
    if version != _VERSION:
        raise CorruptInputError(f"{path.name} is not waveform data of version {_VERSION}.")
    if rate < 1 or per_pixel < 2 or not 1 <= channels <= _MAX_CHANNELS:
        raise CorruptInputError(f"{path.name} has an impossible header.")


def _middle(block: Samples) -> Samples:
    """The mean of the channels, [1, T] float32; `mean` over an axis of two takes twenty times as long."""
    total = block[:1].copy()
    for channel in block[1:]:
        total += channel
    total /= np.float32(len(block))
    return total


def _extremes(waves: Samples, samples_per_pixel: int) -> bytes:
    """Give the lowest and highest values of whole pixels as bytes of [pixels, channels, 2] int16."""
    if not waves.size:
        return b""
    pixels = waves.reshape(len(waves), -1, samples_per_pixel)
    values = np.stack([pixels.min(axis=2), pixels.max(axis=2)], axis=2).transpose(1, 0, 2)
    if not np.isfinite(values).all():
        raise ValueError("samples must be finite")
    scaled: npt.NDArray[np.int16] = np.clip(np.trunc(values * 32767), -32768, 32767).astype(np.int16)
    return scaled.tobytes()
