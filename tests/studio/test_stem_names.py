"""Stems are known by the names that other tools give their files."""

from __future__ import annotations

import pytest

from stemwright.studio.stem_names import stem_names


@pytest.mark.parametrize(
    ("file", "stem"),
    [
        ("1_My Drum Song_(Vocals).wav", "vocals"),
        ("1_My Drum Song_(Instrumental)_UVR-MDX-NET.flac", "instrumental"),
        ("01 Voices (Live)_(No Vocals)_htdemucs.wav", "no_vocals"),
        ("[The Drum] bass.wav", "bass"),
        ("Sing It - Drums.flac", "drums"),
        ("VOCALS.WAV", "vocals"),
        ("Bass Face (Bass Boosted) - Drums.wav", "drums"),
        ("song__piano.ogg", "piano"),
        ("Lead Vocals.wav", "lead_vocals"),
        ("vocals.wav", "vocals"),
        ("Gitarre links.wav", "Gitarre links"),
        ("kick_in.wav", "kick_in"),
        ("Drums of Passion.wav", "Drums of Passion"),
    ],
)
def test_stem_is_known_by_its_file(file: str, stem: str) -> None:
    assert stem_names([file]) == [stem]


def test_files_that_would_get_one_name_keep_their_own() -> None:
    assert stem_names(["a - Drums.wav", "b - Drums.wav", "c - Bass.wav"]) == ["a - Drums", "b - Drums", "bass"]
