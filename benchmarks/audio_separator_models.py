"""A model of the published size with random weights, in audio-separator's formats; run by the Python that has it.

`python audio_separator_models.py FOLDER` writes `vocals_mel_band_roformer.ckpt`, with the shape of the model that goes
by that name, and what audio-separator needs to know it without asking the internet.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RATE = 44_100
NAME = "vocals_mel_band_roformer"
CONFIG: dict[str, Any] = {
    "audio": {"chunk_size": 352_800, "dim_f": 1024, "dim_t": 256, "hop_length": 441, "n_fft": 2048, "num_channels": 2}
    | {"sample_rate": RATE},
    "model": {
        "dim": 384,
        "depth": 6,
        "stereo": True,
        "num_stems": 1,
        "time_transformer_depth": 1,
        "freq_transformer_depth": 1,
        "num_bands": 60,
        "dim_head": 64,
        "heads": 8,
        "attn_dropout": 0.0,
        "ff_dropout": 0.0,
        "flash_attn": True,
        "dim_freqs_in": 1025,
        "sample_rate": RATE,
        "stft_n_fft": 2048,
        "stft_hop_length": 441,
        "stft_win_length": 2048,
        "stft_normalized": False,
        "mask_estimator_depth": 2,
    },
    "training": {"instruments": ["Vocals", "Other"], "target_instrument": "Vocals"},
    "inference": {"dim_t": 801, "num_overlap": 2},
}


def main(folder: Path) -> None:
    """Write the model, and lists in which it is the only one."""
    import torch
    import yaml
    from audio_separator.separator.roformer.roformer_loader import RoformerLoader

    torch.manual_seed(20261122)
    network = RoformerLoader().load_model(str(folder / "none"), CONFIG).model
    torch.save(network.state_dict(), folder / f"{NAME}.ckpt")
    (folder / f"{NAME}.yaml").write_text(yaml.dump(CONFIG))
    lists: dict[str, Any] = {
        f"{kind}_download{vip}_list": {} for kind in ("vr", "mdx", "mdx23c", "demucs") for vip in ("", "_vip")
    }
    lists["roformer_download_list"] = {"Mel": {f"{NAME}.ckpt": f"{NAME}.yaml"}}
    (folder / "download_checks.json").write_text(json.dumps(lists))
    for kind in ("mdx", "vr"):
        (folder / f"{kind}_model_data.json").write_text("{}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
