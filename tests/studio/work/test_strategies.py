"""Jobs that name a strategy: refused early where it cannot run, else run as on the command line."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sounds import level_db, read, sound, write_wav
from stemwright import errors
from stemwright.audio.decode import DecodeLimits
from stemwright.engine import choice
from stemwright.engine.process.child import Child
from stemwright.engine.process.messages import Separate, answer_of, line_of, said_by
from stemwright.engine.receipt import Receipt
from stemwright.engine.settings import SeparationSettings

if TYPE_CHECKING:
    from pathlib import Path


def check(name: str, *, stems: tuple[str, ...] | None = None, transcribe: bool = False) -> None:
    choice.check(name, settings=SeparationSettings(stems=stems), transcribe=transcribe, repo=None)


def test_preset_is_taken_as_a_model_is() -> None:
    check("fast", transcribe=True)
    check("fast", stems=("vocals", "no_vocals"))
    with pytest.raises(errors.UnknownStemError, match="fast has no stem 'voice'"):
        check("fast", stems=("voice",))
    with pytest.raises(errors.UnknownModelError):
        check("faster")


def test_preset_whose_weights_cannot_be_had_is_refused_with_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(errors.ModelUnavailableError, match=r"best cannot be used here: .*htdemucs_ft, hdemucs_mmi"):
        check("best")


def test_engine_process_runs_a_preset(tmp_path: Path) -> None:
    mix = sound("song", seconds=1)
    song = write_wav(tmp_path / "song.wav", mix)
    request = Separate(
        song=song,
        file_name="Mein Lied.wav",
        root=tmp_path / "out",
        model="fast",
        repo=None,
        device="auto",
        format="flac24",
        settings=SeparationSettings(),
        limits=DecodeLimits(),
    )
    answers = io.StringIO()
    Child(answers).answer(line_of(request).decode())
    told = [said_by(line.encode()) for line in answers.getvalue().splitlines()]
    receipt = answer_of(request, told[-1])
    assert (receipt.model.name, receipt.model.family, receipt.input.name) == ("fast", "strategy", "Mein Lied.wav")
    assert Receipt.model_validate_json((tmp_path / "out" / "receipt.json").read_text()) == receipt
    assert [node.model for node in receipt.nodes] == ["sketch"]
    stems = [read(tmp_path / "out" / f"{stem.name}.flac", channels=2) for stem in receipt.stems]
    assert level_db(np.sum(stems, axis=0) - mix, mix) < -60
    shares = [one.progress.fraction or 0.0 for one in told if one.progress and one.progress.stage == "separating"]
    assert max(shares) == 1


def test_jobs_take_strategies_of_the_operator_by_name(tmp_path: Path) -> None:
    (tmp_path / "strategies.yaml").write_text("strategies: {mine: {_: sketch, vocals: voice, residual: band}}\n")
    choice.check("mine", settings=SeparationSettings(stems=("voice", "no_voice")), repo=tmp_path)
    with pytest.raises(errors.OptionError, match="names its models"):
        choice.check("mine", settings=SeparationSettings(overlap=0.5), repo=tmp_path)
    found = choice.strategy_of("mine", repo=tmp_path)
    assert found is not None
    assert found.stems == ("voice", "band")
    with pytest.raises(errors.UnknownModelError):
        check("mine")
