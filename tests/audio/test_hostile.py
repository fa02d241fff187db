"""Files made to read other files, to call home, to fill memory or to take for ever; each is made here."""

from __future__ import annotations

import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recordings import (
    FFMPEG,
    RATE,
    Belongings,
    decode,
    huge_png,
    id3,
    make,
    resident_bytes,
    silent_flac,
    song,
    wav_header,
)
from sounds import sound, write_wav
from stemwright.audio.decode import DecodeLimits
from stemwright.errors import StemwrightError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_SECONDS = 5  # of processor time, of the command and all that it starts
MOST_BYTES = 300e6  # the same, resident
REFUSALS = {"empty", "not_audio", "unsupported", "too_large", "too_long", "no_audio_stream", "corrupt"}


@dataclass(frozen=True)
class Ran:
    """What one run of the command did."""

    code: int
    reply: dict[str, object]
    errors: str
    peak: int  # bytes

    @property
    def error(self) -> str:
        """The error's code."""
        fault = self.reply["error"]
        assert isinstance(fault, dict)
        return str(fault["code"])


def run(folder: Path, name: str, **environment: str) -> Ran:
    """`stemwright separate NAME` in a folder of its own, timed and weighed; nothing may be left behind."""
    temporary, out = folder.with_name("temporary"), folder.with_name("out")
    temporary.mkdir()
    before = sorted(folder.iterdir())
    options = ["--model", "sketch", "--json", "-o", str(out), "--", name]
    process = subprocess.Popen(
        [sys.executable, "-m", "stemwright", "separate", *options],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak = max(peak, resident_bytes(process.pid))
        time.sleep(0.01)
    assert process.stdout
    assert process.stderr
    with process.stdout, process.stderr:
        reply, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert usage.ru_utime + usage.ru_stime < MOST_SECONDS
    assert peak < MOST_BYTES
    assert "Traceback" not in errors
    assert list(temporary.iterdir()) == []
    assert sorted(folder.iterdir()) == before
    if process.returncode:
        assert not out.exists()
    return Ran(process.returncode, json.loads(reply), errors, peak)


@contextmanager
def server() -> Iterator[tuple[int, socket.socket]]:
    """A port at which somebody waits for a caller."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1], listener


def was_called(listener: socket.socket) -> bool:
    return bool(select.select([listener], [], [], 0)[0])


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder with another user's recording in it."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    write_wav(folder / "victim.wav", sound("noise", seconds=1))
    return folder


# Text that tells a player to open something else


def playlists(port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}/a.wav"
    return {
        "ffconcat.mp3": "ffconcat version 1.0\nfile victim.wav\n",
        "ffconcat.txt": f"ffconcat version 1.0\nfile '{url}'\n",
        "concat.wav": "file victim.wav\nfile victim.wav\n",
        "hls.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXTINF:1,\nvictim.wav\n#EXT-X-ENDLIST\n",
        "m3u.mp3": "#EXTM3U\nvictim.wav\n",
        "pls.mp3": f"[playlist]\nFile1={url}\nNumberOfEntries=1\n",
        "dash.mp4": f'<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{url}</BaseURL></Period></MPD>',
        "session.sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "sbagen.mp3": "-SE\nnight: pink/40 100+1.5/30\nNOW night\n+24:00:00 night\n",
        "subtitle.wav": "1\n00:00:00,000 --> 00:00:01,000\n<font face=victim.wav>hello</font>\n",
        "lavfi.flac": "sine=440:duration=10",
        "svg.ogg": f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{url}"/></svg>',
        "swf.mp3": "FWS\x06" + "\0" * 100,
        "rtsp.mp3": f"RTSPtextRTSP://127.0.0.1:{port}/a",
        "ram.mp3": f"[Reference]\nRef1={url}\n",
        "asx.wma": f'<ASX version="3"><Entry><Ref href="{url}"/></Entry></ASX>',
    }


@pytest.mark.parametrize("name", playlists(0))
def test_a_text_that_points_elsewhere_is_not_audio(name: str, inbox: Path) -> None:
    with server() as (port, listener):
        (inbox / name).write_text(playlists(port)[name])
        with pytest.raises(StemwrightError) as caught:
            decode(inbox / name)
        assert caught.value.code == "not_audio"
        assert not was_called(listener)


def test_the_concat_text_would_give_the_victim_s_sound_to_a_plain_ffmpeg(inbox: Path) -> None:
    (inbox / "a.mp3").write_text("ffconcat version 1.0\nfile victim.wav\n")
    command = [FFMPEG, "-v", "error", "-i", str(inbox / "a.mp3"), "-f", "f32le", "-"]
    stolen = subprocess.run(command, check=True, capture_output=True).stdout
    assert np.array_equal(np.frombuffer(stolen, "<f4").reshape(-1, 2).T, sound("noise", seconds=1))


@pytest.mark.parametrize("name", ["ffconcat.mp3", "hls.m3u8"])
def test_the_command_follows_no_playlist(name: str, inbox: Path) -> None:
    with server() as (port, listener):
        (inbox / name).write_text(playlists(port)[name])
        ran = run(inbox, name)
        assert not was_called(listener)
    assert (ran.code, ran.error) == (1, "not_audio")


# Names that mean something to a command line


@pytest.mark.parametrize(
    "name",
    [
        *("-i", "-version", "--help", "concat:victim.wav|victim.wav", "pipe:0", "file:victim.wav", "a%d.wav", "*.wav"),
        *("a\nb.wav", "a\x1b[31mb.wav", "data:text,victim.wav", "'; touch x; '.wav", "\u202evaw.mp3", "[red]a.wav"),
        *("subfile,,start,0,end,0,,:victim.wav", "@victim.wav", "~", "$HOME.wav"),
    ],
)
def test_a_name_is_only_a_name(name: str, inbox: Path) -> None:
    mine = sound("sine", seconds=0.2)
    write_wav(inbox / name, mine)
    decoded, _ = decode(inbox / name)
    assert np.array_equal(decoded, mine)


def test_a_name_that_is_no_unicode_is_only_a_name(inbox: Path) -> None:
    path = inbox / os.fsdecode(b"caf\xe9.wav")
    mine = sound("sine", seconds=0.2)
    write_wav(path, mine)
    assert np.array_equal(decode(path)[0], mine)


@pytest.mark.parametrize("name", ["concat:victim.wav|b", "pipe:0", "http://127.0.0.1/a.wav"])
def test_a_name_that_no_file_bears_is_not_found(name: str, inbox: Path) -> None:
    from pathlib import Path

    with pytest.raises(StemwrightError) as caught:
        decode(Path(name))
    assert caught.value.code == "not_found"


def test_the_command_takes_an_option_s_name_for_a_file(inbox: Path) -> None:
    (inbox / "-i").write_bytes(b"no sound at all")
    ran = run(inbox, "-i")
    assert (ran.code, ran.error, ran.reply["song"]) == (1, "not_audio", "-i")


# MP4 made by hand


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def mp4(*, dref: bytes, stts: bytes, stsc: bytes, stsz: bytes, stco: bytes) -> bytes:
    """A MOV with one PCM track (16 bits, stereo) whose tables are given."""
    entry = box(b"sowt", bytes(6), struct.pack(">H", 1), bytes(8), struct.pack(">HHHHI", 2, 16, 0, 0, RATE << 16))
    tables = [box(b"stsd", struct.pack(">II", 0, 1), entry), box(b"stts", stts), box(b"stsc", stsc)]
    stbl = box(b"stbl", *tables, box(b"stsz", stsz), box(b"stco", stco))
    minf = box(b"minf", box(b"smhd", bytes(8)), box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), dref)), stbl)
    mdhd = box(b"mdhd", bytes(12), struct.pack(">IIHH", RATE, RATE, 0x55C4, 0))
    hdlr = box(b"hdlr", bytes(4), b"mhlrsoun", bytes(12), b"\0")
    tkhd = box(b"tkhd", struct.pack(">III", 1, 0, 0), struct.pack(">III", 1, 0, RATE), bytes(60))
    mvhd = box(b"mvhd", bytes(12), struct.pack(">II", RATE, RATE), bytes(80))
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", mvhd, box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, minf)))


def alias(path: str) -> bytes:
    """A data reference to another file, as old Macs wrote it."""
    name = path.encode() + b"\0" * (len(path) % 2)
    record = bytes(10) + b"\0" + bytes(27) + bytes(12) + b"\6victim" + bytes(57) + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">HH", 2, len(path)) + name + b"\xff\xff\0\0"
    return box(b"alis", bytes(4), record)


def referring(reference: bytes) -> bytes:
    one = struct.pack(">I", 1)
    return mp4(
        dref=reference,
        stts=bytes(4) + one + struct.pack(">II", 4000, 1),
        stsc=bytes(4) + one + struct.pack(">III", 1, 4000, 1),
        stsz=bytes(4) + struct.pack(">II", 4, 4000),
        stco=bytes(4) + one + struct.pack(">I", 44),
    )


def test_a_mov_that_refers_to_another_file_gets_none_of_it(inbox: Path) -> None:
    victim = inbox / "victim.wav"
    (inbox / "a.mov").write_bytes(referring(alias(str(victim))))
    command = [FFMPEG, "-v", "error", "-enable_drefs", "1", "-use_absolute_path", "1", "-i", str(inbox / "a.mov")]
    stolen = subprocess.run([*command, "-f", "s16le", "-"], check=True, capture_output=True).stdout
    assert stolen == victim.read_bytes()[44 : 44 + 16_000]  # a plain ffmpeg, when told to, does follow it
    ran = run(inbox, "a.mov")
    assert ran.code == 1
    assert ran.error in {"corrupt", "empty"}


def test_a_mov_that_refers_to_a_url_calls_nobody(inbox: Path) -> None:
    with server() as (port, listener):
        for url in (f"http://127.0.0.1:{port}/a.wav", f"file://{inbox / 'victim.wav'}"):
            data = referring(box(b"url ", bytes(4), url.encode() + b"\0"))
            (inbox / "a.mov").write_bytes(data)
            decoded, _ = decode(inbox / "a.mov")
            own = np.frombuffer(data[44 : 44 + decoded.shape[1] * 4], "<i2").reshape(-1, 2).T / 32_768
            assert np.array_equal(decoded, own.astype(np.float32))  # it takes the place to be in the file itself
        assert not was_called(listener)


@pytest.mark.parametrize("samples", [2_000_000, 0xFFFFFFFF])
def test_an_mp4_of_a_few_bytes_with_millions_of_samples_costs_little(samples: int, inbox: Path) -> None:
    one = struct.pack(">I", 1)
    bomb = mp4(
        dref=box(b"url ", b"\0\0\0\1"),
        stts=bytes(4) + one + struct.pack(">II", samples, 1024),
        stsc=bytes(4) + one + struct.pack(">III", 1, samples, 1),
        stsz=bytes(4) + struct.pack(">II", 1, samples),
        stco=bytes(4) + one + struct.pack(">I", 44),
    )
    (inbox / "a.mp4").write_bytes(bomb)
    ran = run(inbox, "a.mp4")
    assert ran.code == 0 or ran.error in REFUSALS


def test_tables_that_claim_more_than_the_file_holds_are_refused(tmp_path: Path) -> None:
    many = struct.pack(">I", 0x0FFFFFFF)
    bomb = mp4(
        dref=box(b"url ", b"\0\0\0\1"),
        stts=bytes(4) + many,
        stsc=bytes(4) + many,
        stsz=bytes(8) + many,
        stco=bytes(4) + many,
    )
    assert refused(tmp_path, bomb) in {"corrupt", "too_large"}


# Headers that lie


@cache
def limits() -> DecodeLimits:
    return DecodeLimits(duration=60)


def refused(folder: Path, data: bytes, *, name: str = "a.wav") -> str:
    """The code with which it is refused; quickly."""
    path = folder / name
    path.write_bytes(data)
    started = time.monotonic()
    with pytest.raises(StemwrightError) as caught:
        decode(path, limits=limits())
    assert time.monotonic() - started < MOST_SECONDS
    return caught.value.code


@pytest.mark.parametrize(
    ("header", "codes"),
    [
        (wav_header(data=4000, channels=65_535), {"corrupt", "unsupported"}),
        (wav_header(data=4000, channels=0), {"corrupt"}),
        (wav_header(data=4000, rate=4_000_000_000), {"corrupt", "unsupported"}),
        (wav_header(data=4000, rate=0), {"corrupt", "unsupported"}),
        (wav_header(data=4000, rate=1), {"unsupported"}),
        (wav_header(data=4000, bits=0), {"corrupt", "unsupported"}),
        (wav_header(data=4000, bits=65_535), {"corrupt", "unsupported"}),
        (wav_header(data=4000, kind=0xABCD), {"corrupt", "unsupported"}),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff", {"corrupt"}),
        (b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff", {"corrupt"}),
        (b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + b"\xff" * 28, {"corrupt"}),
        (b"FORM\x80\0\0\0AIFFCOMM\x80\0\0\0", {"corrupt"}),
        (b"fLaC\x80\xff\xff\xff", {"corrupt"}),
        (b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff", {"corrupt"}),
        (b"\x1aE\xdf\xa3" + b"\x01\0\0\0\0\0\0\x08" * 400, {"corrupt"}),
        (b"\0\0\0\1moov\xff\xff\xff\xff\xff\xff\xff\xff", {"corrupt"}),
        (b"\0\0\0\x08free" * 50_000, {"corrupt"}),
        (b"\0\0\0\x08moov" * 5000, {"corrupt", "no_audio_stream"}),
        (b"OggS\0\2" + b"\xff" * 21, {"corrupt"}),
        (b"ID3\4\0\0\x7f\x7f\x7f\x7f", {"not_audio"}),
    ],
)
def test_a_header_that_lies_is_refused(header: bytes, codes: set[str], tmp_path: Path) -> None:
    assert refused(tmp_path, header + bytes(4000)) in codes


@pytest.mark.parametrize(
    "rate", [b"\x40\x0e\xac\x44", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xc0\x0e\xac\x44"]
)
def test_an_aiff_of_a_strange_rate_is_refused_or_read(rate: bytes, tmp_path: Path) -> None:
    form = struct.pack(">hIh", 1, 2000, 16) + rate + b"\xff" * 6
    body = b"AIFFCOMM" + struct.pack(">I", 18) + form + b"SSND" + struct.pack(">III", 4008, 0, 0) + bytes(4000)
    path = tmp_path / "a.aiff"
    path.write_bytes(b"FORM" + struct.pack(">I", len(body)) + body)
    if rate.startswith(b"\x40\x0e"):
        assert decode(path)[0].shape == (1, 2000)
    else:
        assert refused(tmp_path, path.read_bytes()) in {"corrupt", "unsupported"}


def test_a_flac_that_claims_centuries_is_read_for_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(silent_flac(seconds=3, claimed=2**36 - 1))
    decoded, notices = decode(path)
    assert decoded.shape == (1, 2 * 65_535)
    assert "truncated" in [notice.code for notice in notices]


def test_a_flac_at_655350_hz_is_unsupported(tmp_path: Path) -> None:
    assert refused(tmp_path, silent_flac(seconds=1, rate=655_350)) == "unsupported"


def test_three_hours_of_silence_in_a_small_file_are_refused_by_the_command(inbox: Path) -> None:
    (inbox / "a.flac").write_bytes(silent_flac(seconds=3 * 3600))
    ran = run(inbox, "a.flac", STEMWRIGHT_MAX_DURATION="600")
    assert (ran.code, ran.error) == (1, "too_long")


def test_an_ogg_of_countless_streams_is_refused(tmp_path: Path) -> None:
    pages = b"".join(
        b"OggS\0\2" + bytes(8) + struct.pack("<II", n, 0) + bytes(4) + b"\1\x1e" + b"\1vorbis" + bytes(23)
        for n in range(20_000)
    )
    assert refused(tmp_path, pages) in REFUSALS


def test_samples_that_are_no_numbers_are_refused_by_the_command(inbox: Path) -> None:
    samples = song().copy()
    samples[0, 50_000] = np.nan
    write_wav(inbox / "a.wav", samples)
    ran = run(inbox, "a.wav")
    assert (ran.code, ran.error) == (1, "corrupt")


def test_a_wav_of_65535_channels_is_refused_by_the_command(inbox: Path) -> None:
    (inbox / "a.wav").write_bytes(wav_header(data=200_000, channels=65_535) + bytes(200_000))
    ran = run(inbox, "a.wav")
    assert ran.code == 1
    assert ran.error in {"corrupt", "unsupported"}


# Pictures


def test_a_huge_picture_in_a_film_s_attachment_costs_nothing(inbox: Path) -> None:
    (inbox.parent / "cover.png").write_bytes(huge_png())
    source = write_wav(inbox.parent / "source.wav", song())
    command = [FFMPEG, "-v", "error", "-i", str(source), "-attach", str(inbox.parent / "cover.png")]
    subprocess.run([*command, "-metadata:s:t", "mimetype=image/png", "-c:a", "flac", str(inbox / "a.mkv")], check=True)
    ran = run(inbox, "a.mkv")
    assert ran.code == 0


def test_a_huge_cover_in_an_mp3_costs_nothing(inbox: Path) -> None:
    frames = make(inbox.parent, "noxing.mp3").read_bytes()
    (inbox / "a.mp3").write_bytes(id3(cover=huge_png()) + frames)
    ran = run(inbox, "a.mp3")
    assert ran.code == 0


# What is something else


@pytest.mark.parametrize(
    "head",
    [
        *(b"PK\3\4\x14\0", b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"MZ\x90\0", b"\x7fELF\2", b"<!DOCTYPE html>"),
        *(b"GIF89a", b"\x1f\x8b\x08", b"SQLite format 3\0", b"\xca\xfe\xba\xbe"),
    ],
)
def test_other_files_named_wav_are_not_audio(head: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path, head + random.Random(4).randbytes(5000)) == "not_audio"


def test_midi_is_unsupported(tmp_path: Path) -> None:
    assert refused(tmp_path, b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0") == "unsupported"


def test_random_bytes_named_mp3_are_not_audio_to_the_command(inbox: Path) -> None:
    (inbox / "a.mp3").write_bytes(random.Random(5).randbytes(3_000_000))
    ran = run(inbox, "a.mp3")
    assert (ran.code, ran.error) == (1, "not_audio")


def test_what_is_no_file_is_refused_by_the_command(inbox: Path) -> None:
    os.mkfifo(inbox / "a.wav")
    ran = run(inbox, "a.wav")
    assert (ran.code, ran.error) == (1, "not_audio")


# Every small length, and any damage

HEADS = [
    "s16.wav",
    "s16.w64",
    "s16.flac",
    "cbr.mp3",
    "vorbis.ogg",
    "opus.opus",
    "adts.aac",
    "s16.aiff",
    "fast.m4a",
    "flac.mka",
    "wma.wma",
]


@pytest.mark.parametrize("name", HEADS)
def test_a_head_of_any_small_length_is_read_or_refused(name: str, folder: Path, tmp_path: Path) -> None:
    data = make(folder, name).read_bytes()
    path = tmp_path / name
    belongings = Belongings()
    for length in (1, 8, 12, 27, 44, 45, 60, 300, 1000):
        path.write_bytes(data[:length])
        assert outcome(path) in REFUSALS | {"read"}
    belongings.assert_unchanged()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_samples_or_a_refusal(data: st.DataObject, folder: Path, tmp_path: Path) -> None:
    name = data.draw(st.sampled_from(HEADS))
    content = bytearray(make(folder, name).read_bytes())
    top = data.draw(st.sampled_from([200, 2000, len(content)]))  # heads are where the lies are
    for place in data.draw(st.lists(st.integers(0, min(top, len(content)) - 1), min_size=1, max_size=10)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(content)
    started = time.monotonic()
    assert outcome(path) in REFUSALS | {"read"}
    assert time.monotonic() - started < MOST_SECONDS


def outcome(path: Path) -> str:
    """`read`, or the code with which it is refused."""
    try:
        decoded, _ = decode(path, limits=limits())
    except StemwrightError as error:
        return error.code
    assert decoded.shape[1] > 0
    assert np.isfinite(decoded).all()
    return "read"
