"""The samples that one decoder gives, block by block, and the judgement on the whole at the end."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stemwright.errors import (
    CorruptInputError,
    DecodeTimeoutError,
    EmptyInputError,
    NoAudioStreamError,
    TooLargeError,
    TooLongError,
    UnsupportedInputError,
)
from stemwright.types import MAX_RATE, MIN_RATE, Notice, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.audio.ffmpeg import FfmpegChild
    from stemwright.audio.sniff import Demuxer
    from stemwright.types import SampleRate, Samples

BLOCK = 65536  # samples of each channel in a block
MAX_CHANNELS = 8
_LOUDEST = 1e6  # ±120 dB over full scale: beyond it is no music, and single precision would overflow
_SLACK = 0.1  # seconds that a header may promise too much before the file counts as truncated, or
_PADDING = 4096  # samples: headers may count what gapless decoding takes off

_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)(?:, start: (\d+\.\d+))?")
_STREAM = re.compile(r"^  Stream #(?!.*\(attached pic\)).*: (Audio|Video|Subtitle|Data)")
_EARLY = 8  # blocks in which a song may turn out to be too long by its header …
_LEAST = 4  # … which is believed for no fewer bytes a second: silence as FLAC takes 10
_GUESSES = ("Estimating duration from bitrate", "using bitrate for duration")
_JUNK = ("Header missing", "Invalid data found when processing input")  # what no frame begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """What a recording may cost."""

    duration: Seconds = 3600.0
    size_bytes: int = 4 << 30
    wall_clock: Seconds = 120.0  # spent waiting for the decoder
    memory_bytes: int = 160 << 20  # of the decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What a recording is, as its decoder says."""

    container: Demuxer
    sample_rate: SampleRate
    channels: int
    speaker_mask: int  # WAVE_FORMAT_EXTENSIBLE's; 0 when unknown
    track: int = 1  # which of the file's audio tracks it is, from 1
    late: Seconds = 0.0  # by which the sound begins after the picture: so much silence is in front of it


class AudioStream:
    """The samples of a recording, block by block; what was wrong with it is known at the end."""

    def __init__(  # noqa: PLR0913
        self,
        child: FfmpegChild,
        *,
        name: str,
        container: Demuxer,
        limits: DecodeLimits,
        size: int,
        cut: bool = False,
        ignore_junk: bool = False,
        track: int = 1,
        late: Seconds = 0.0,
        before: Seconds = 0.0,
        waited: Seconds = 0.0,
    ) -> None:
        """Read the header; `size` is the file's, in bytes.

        `cut`: the end of the file is missing. `ignore_junk`: bytes between frames are tags. `track` and `late` are
        told in `info`. Of the limits, `before` seconds of sound and `waited` seconds of waiting are used up already.
        Raises as `open_audio`.
        """
        self._child = child
        self._name = name
        self._limits = limits
        self._cut, self._size = cut, size
        self._ignored = ("not on whitelist", *(_JUNK if ignore_junk else ()))
        self._before, self.waited = before, waited
        self.frames = self._silent = 0
        self.ended = False  # all that the decoder gives has been read
        self.notices: list[Notice] = []
        self.info = replace(self._read_header(container), track=track, late=late)

    def __iter__(self) -> Iterator[Samples]:
        """Yield blocks `[C, T]` float32, T <= `BLOCK`, at the recording's own rate and channels.

        Raises `CorruptInputError` (NaN, infinity, nothing decodes), `TooLongError`, `DecodeTimeoutError`,
        `EmptyInputError`.
        """
        channels = self.info.channels
        longest = int((self._limits.duration - self._before) * self.info.sample_rate)
        yield from self._silence(longest)
        while data := self._read(BLOCK * channels * 4):
            if self.frames < _EARLY * BLOCK and not self._cut:  # what the header says is in the log by now, or soon
                declared = self._declared_duration() or 0.0
                if self._limits.duration + _SLACK < declared < self._size / _LEAST:
                    raise self._too_long(f"{declared:.0f} s")
            usable = len(data) - len(data) % (4 * channels)
            block = np.frombuffer(data[:usable], "<f4").reshape(-1, channels).T
            # A comparison with NaN is false, so one test finds NaN, infinity and absurd values.
            if block.size and not max(block.max(), -block.min()) < _LOUDEST:
                raise CorruptInputError(f"{self._name}: holds samples that are not finite numbers")
            self.frames += block.shape[1]
            if self.frames > longest:
                raise self._too_long("longer")
            yield block
        self.ended = True
        self._finish()

    def _silence(self, longest: int) -> Iterator[Samples]:
        """What is in front of a sound that begins after its picture."""
        self._silent = round(self.info.late * self.info.sample_rate)
        if self._silent > longest:
            raise self._too_long(f"over {self.info.late:.0f} s")
        while self.frames < self._silent:
            count = min(BLOCK, self._silent - self.frames)
            self.frames += count
            yield np.zeros((self.info.channels, count), np.float32)

    def _too_long(self, lasts: str) -> TooLongError:
        limit = f"the limit is {self._limits.duration:g} s (setting max_duration, option --max-duration)"
        return TooLongError(f"{self._name}: lasts {lasts}; {limit}")

    def _read(self, size: int) -> bytearray:
        """Up to `size` bytes; fewer only at the end."""
        pipe = self._child.stdout.fileno()  # not the buffered reader: `poll` knows the pipe only
        poll = select.poll()  # not `select`: it refuses numbers above 1023
        poll.register(pipe, select.POLLIN)
        data = bytearray(size)
        view, filled = memoryview(data), 0
        while filled < size:
            start = time.monotonic()
            left = self._limits.wall_clock - self.waited
            ready = poll.poll(max(left, 0) * 1000)
            self.waited += time.monotonic() - start
            if not ready:
                raise DecodeTimeoutError(f"{self._name}: decoding took over {self._limits.wall_clock:g} s")
            count = os.readv(pipe, [view[filled:]])
            if not count:
                break
            filled += count
        view.release()
        del data[filled:]
        return data

    def _read_header(self, container: Demuxer) -> AudioInfo:
        """The head of the WAV stream that the child writes."""
        riff = self._read(12)
        if riff[:4] != b"RIFF":
            raise self._nothing_decoded()
        channels = rate = mask = 0
        while len(head := self._read(8)) == 8:
            kind, size = struct.unpack("<4sI", head)
            if kind == b"data":
                break
            body = self._read(size + size % 2)
            if len(body) < size:
                break
            if kind == b"fmt ":
                _, channels, rate = struct.unpack_from("<HHI", body)
                mask = struct.unpack_from("<I", body, 20)[0] if size >= 40 else 0
        if not channels:
            raise self._nothing_decoded()
        if not MIN_RATE <= rate <= MAX_RATE:
            raise UnsupportedInputError(f"{self._name}: {rate} Hz is outside {MIN_RATE}–{MAX_RATE} Hz")
        if not 1 <= channels <= MAX_CHANNELS:
            raise UnsupportedInputError(f"{self._name}: {channels} channels; at most {MAX_CHANNELS} are supported")
        return AudioInfo(container=container, sample_rate=rate, channels=channels, speaker_mask=mask)

    def _nothing_decoded(self) -> Exception:
        self._wait()
        text = "\n".join(line for _, line in self._child.log.lines)
        if "matches no streams" in text:
            return NoAudioStreamError(f"{self._name}: holds no audio stream")
        if "annot allocate memory" in text:
            return TooLargeError(f"{self._name}: needs more than {self._limits.memory_bytes >> 20} MiB to decode")
        if any(words in text for words in ("not on whitelist", "Decoder not found", "no decoder found")):
            return UnsupportedInputError(f"{self._name}: its codec is not supported")
        return CorruptInputError(f"{self._name}: cannot be decoded")

    def _wait(self) -> int:
        try:
            code = self._child.wait(max(self._limits.wall_clock - self.waited, 1))
        except subprocess.TimeoutExpired as error:
            raise DecodeTimeoutError(f"{self._name}: decoding took over {self._limits.wall_clock:g} s") from error
        if code in {-signal.SIGKILL, -signal.SIGXCPU}:  # not by us: what it gave must not pass for the whole
            raise DecodeTimeoutError(f"{self._name}: the system ended the decoder, which used too much of it")
        return code

    def _finish(self) -> None:
        """Judge the whole once the last block is out."""
        code, log = self._wait(), self._child.log
        ignored = sum(any(words in text for words in self._ignored) for text in log.faults())
        faults = max(log.errors - ignored, int(code != 0))
        if self.frames == self._silent:
            if faults:
                raise self._nothing_decoded()
            raise EmptyInputError(f"{self._name}: holds no samples")
        decoded = self.frames / self.info.sample_rate
        declared = self._declared_duration()
        if declared is not None and declared > decoded + max(_SLACK, _PADDING / self.info.sample_rate):
            message = f"the header promises {declared:.2f} s, {decoded:.2f} s decoded: the file is cut short or damaged"
            self.notices.append(Notice("truncated", message))
        elif self._cut:
            message = f"{decoded:.2f} s decoded: the end of the file is missing"
            self.notices.append(Notice("truncated", message))
        if faults:
            message = f"parts of the file are damaged ({faults} decoding errors); {decoded:.2f} s decoded"
            self.notices.append(Notice("damaged", message))

    def _declared_duration(self) -> Seconds | None:
        """What the header promises; None where it says nothing, or may speak of a film that outlasts its sound."""
        lines = [line for _, line in self._child.log.lines]
        of_input = lines[: next((n for n, line in enumerate(lines) if line.startswith("Stream mapping:")), len(lines))]
        guessed = any(guess in line for line in of_input for guess in _GUESSES)
        if guessed or sum(bool(_STREAM.match(line)) for line in of_input) > 1:
            return None
        for line in of_input:
            if match := _DURATION.match(line):
                hours, minutes, seconds, start = match.groups()
                end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
                return end - float(start or 0) if self.info.container == "matroska" else end  # which counts from 0
        return None
