"""Recordings of every kind, made by a real ffmpeg or byte by byte, and what proves that nothing was left behind."""

from __future__ import annotations

import struct
import subprocess
import threading
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sounds import Samples, sound, write_wav
from stemwright.audio.decode import DecodeLimits, open_audio
from stemwright.audio.ffmpeg import find_ffmpeg

if TYPE_CHECKING:
    from stemwright.types import Notice

RATE = 44_100
FFMPEG = find_ffmpeg()  # makes the files, whatever a test later hides

# name: (demuxer that must be chosen, what ffmpeg must be told). The first group keeps every sample.
LOSSLESS = {
    "u8.wav": ("wav", "-c:a pcm_u8"),
    "s16.wav": ("wav", "-c:a pcm_s16le"),
    "s24.wav": ("wav", "-c:a pcm_s24le"),
    "s32.wav": ("wav", "-c:a pcm_s32le"),
    "f32.wav": ("wav", "-c:a pcm_f32le"),
    "f64.wav": ("wav", "-c:a pcm_f64le"),
    "rf64.wav": ("wav", "-c:a pcm_s16le -rf64 always"),
    "s16.w64": ("w64", "-c:a pcm_s16le"),
    "s16.flac": ("flac", "-sample_fmt s16"),
    "s24.flac": ("flac", "-sample_fmt s32 -bits_per_raw_sample 24"),
    "flac.ogg": ("ogg", "-c:a flac"),
    "s16.aiff": ("aiff", "-c:a pcm_s16be"),
    "s24.aiff": ("aiff", "-c:a pcm_s24be"),
    "f32.aifc": ("aiff", "-c:a pcm_f32be -f aiff"),
    "alac16.m4a": ("mov", "-c:a alac -sample_fmt s16p"),
    "alac24.m4a": ("mov", "-c:a alac -sample_fmt s32p"),
    "pcm.mov": ("mov", "-c:a pcm_s16le"),
    "flac.mka": ("matroska", "-c:a flac -sample_fmt s16"),
}
GAPLESS = {
    "cbr.mp3": ("mp3", "-b:a 192k"),
    "vbr.mp3": ("mp3", "-q:a 2"),
    "mono.mp3": ("mp3", "-b:a 96k -ac 1"),
    "vorbis.ogg": ("ogg", "-c:a libvorbis"),
    "opus.opus": ("ogg", "-c:a libopus -b:a 128k"),
}
LOSSY = {
    "noxing.mp3": ("mp3", "-b:a 128k -write_xing 0 -id3v2_version 0"),
    "noxing_vbr.mp3": ("mp3", "-q:a 4 -write_xing 0"),
    "layer2.mp3": ("mp3", "-c:a mp2 -f mp2"),
    "aac.m4a": ("mov", "-c:a aac"),
    "fast.m4a": ("mov", "-c:a aac -movflags +faststart"),
    "fragments.mp4": ("mov", "-c:a aac -movflags frag_keyframe+empty_moov"),
    "adts.aac": ("aac", "-c:a aac -f adts"),
    "wma.wma": ("asf", "-c:a wmav2"),
    "opus.webm": ("matroska", "-c:a libopus"),
    "mulaw.wav": ("wav", "-c:a pcm_mulaw"),
    "ima.wav": ("wav", "-c:a adpcm_ima_wav"),
    "ms.wav": ("wav", "-c:a adpcm_ms"),
}
FILMS = {
    "film.mp4": ("mov", "-c:v mpeg4 -c:a aac"),
    "film.mkv": ("matroska", "-c:v mpeg4 -c:a libvorbis"),
    "film.webm": ("matroska", "-c:v libvpx -c:a libopus"),
}
ALL = LOSSLESS | GAPLESS | LOSSY | FILMS
SIZES = {"u8.wav": 8, "s16.wav": 16, "s24.wav": 24, "s32.wav": 32, "f32.wav": 32, "f64.wav": 32}  # bits


@cache
def song(rate: int = RATE) -> Samples:
    """A bit less than a second and a half, an odd number of samples. Output: `[2, T]` float32."""
    return sound("song", seconds=1.4321, rate=rate)


def record(path: Path, options: str, samples: Samples, *, rate: int = RATE, film: bool = False) -> Path:
    """Encode `[C, T]` samples with ffmpeg; `film` adds a picture that lasts two seconds longer than the sound."""
    source = write_wav(path.with_name(f"{path.name}.source"), samples, rate)
    seconds = samples.shape[1] / rate + 2
    picture = ["-f", "lavfi", "-i", f"testsrc=s=64x48:r=5:d={seconds}"] if film else []
    command = [FFMPEG, "-v", "error", "-y", *picture, "-f", "wav", "-i", str(source), *options.split(), str(path)]
    subprocess.run(command, check=True)
    source.unlink()
    return path


def make(folder: Path, name: str) -> Path:
    """One of `ALL` from `song`, made once for each folder."""
    path = folder / name
    rate = 48_000 if "opus" in name or name == "film.webm" else RATE
    return path if path.exists() else record(path, ALL[name][1], song(rate), rate=rate, film=name in FILMS)


def decode(path: Path, *, limits: DecodeLimits | None = None) -> tuple[Samples, list[Notice]]:
    """All samples `[C, T]` float32, and what was wrong."""
    with open_audio(path, limits=limits) as stream:
        blocks = list(stream)
    return np.concatenate(blocks, axis=1), stream.notices


def lag(decoded: Samples, truth: Samples) -> int:
    """Samples by which `decoded` comes late, by the peak of the cross-correlation of the first channels."""
    size = 1 << (decoded.shape[1] + truth.shape[1]).bit_length()
    spectrum = np.fft.rfft(decoded[0], size) * np.conj(np.fft.rfft(truth[0], size))
    peak = int(np.fft.irfft(spectrum, size).argmax())
    return peak - size if peak > size // 2 else peak


def wav_header(*, data: int, channels: int = 2, rate: int = RATE, bits: int = 16, kind: int = 1) -> bytes:
    """The 44 bytes in front of `data` bytes of samples, all as claimed."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + data & 0xFFFFFFFF)
        + b"WAVEfmt \x10\0\0\0"
        + form
        + struct.pack("<4sI", b"data", data)
    )


def silent_flac(*, seconds: float, claimed: int | None = None, rate: int = RATE) -> bytes:
    """A FLAC of silence, mono, 16 bits, some ten bytes for 65,535 samples; STREAMINFO tells `claimed` samples."""
    block = 65_535
    count = int(seconds * rate) // block
    total = count * block if claimed is None else claimed
    info = struct.pack(">HHxxxxxxQ", block, block, rate << 44 | 15 << 36 | total) + bytes(16)
    frames = b"".join(_silent_frame(number, block) for number in range(count))
    return b"fLaC\x80\0\0\x22" + info + frames


def _silent_frame(number: int, block: int) -> bytes:
    counted = chr(number).encode("utf-8", "surrogatepass")
    head = b"\xff\xf8\x70\x08" + counted + struct.pack(">H", block - 1)  # rate by STREAMINFO, mono, 16 bits
    body = head + bytes([_crc(head, bits=8, polynomial=0x07)]) + b"\0\0\0"  # a constant subframe: 0
    return body + struct.pack(">H", _crc(body, bits=16, polynomial=0x8005))


def _crc(data: bytes, *, bits: int, polynomial: int) -> int:
    value, top = 0, 1 << bits
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (top | polynomial) * (value >> bits - 1)
    return value


@cache
def huge_png() -> bytes:
    """An 8-bit grey picture of 16,000 × 16,000 pixels: 256 MB when decoded, 1 MB as it is."""
    side = 16_000
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(100 * (side + 1))) for _ in range(side // 100)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def id3(*, cover: bytes = b"", padding: int = 0) -> bytes:
    """An ID3v2.3 tag with a title, a cover (PNG) and padding."""
    frames = b"TIT2" + struct.pack(">IH", 5, 0) + b"\0Song"
    if cover:
        body = b"\0image/png\0\x03\0" + cover
        frames += b"APIC" + struct.pack(">IH", len(body), 0) + body
    size = len(frames) + padding
    return b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + frames + bytes(padding)


class Belongings:
    """What this process holds: children, open files, threads."""

    def __init__(self) -> None:
        self._before = self._now()

    def assert_unchanged(self) -> None:
        """Nothing has been added since."""
        children, files, threads = self._now()
        before = self._before
        assert children <= before[0], "a child is left"
        assert files <= before[1], "an open file is left"
        assert threads <= before[2], "a thread is left"

    @staticmethod
    def _now() -> tuple[set[str], set[tuple[str, str]], set[str]]:
        files = set()
        for link in Path("/proc/self/fd").iterdir():
            try:
                files.add((link.name, str(link.readlink())))
            except OSError:  # of this very listing
                continue
        tasks = Path("/proc/self/task")
        children = {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
        return children, files, {thread.name for thread in threading.enumerate()}


_FORKED = 0x40  # PF_FORKNOEXEC of linux/sched.h: between fork and exec


def children_of(pid: int) -> list[int]:
    """Process numbers of all descendants."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            numbers = [int(word) for word in task.read_text().split()]
        except OSError:  # it has ended
            continue
        for number in numbers:
            found += [number, *children_of(number)]
    return found


def resident_bytes(pid: int, *, field: str = "Pss") -> int:
    """Memory of a process and its descendants now; of pages that several processes share, each counts its part.

    `field` is one of `smaps_rollup`'s: `Pss_Anon` leaves out mapped files, of which a process counts more as soon as
    another one that runs the same program ends. A process that has been forked and does not run its program yet holds
    its parent's memory, and does not count.
    """
    total = 0
    for number in (pid, *children_of(pid)):
        try:
            flags = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[6])
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        if flags & _FORKED:
            continue
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))
    return total


def peak_bytes(pid: int) -> int:
    """The most memory that a process has held; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")), 0)
