"""Run by the Python that has `audio-separator`: makes tiny models in its formats, and separates with them its own way.

`python audio_separator_itself.py FOLDER` writes models, what it needs to know them, and NAME.npz with the mix and the
stems of each. It imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

RATE = 44_100
MDX = {"compensate": 1.25, "mdx_dim_f_set": 512, "mdx_dim_t_set": 8, "mdx_n_fft_scale_set": 4096}
MEL = {
    "audio": {"sample_rate": RATE, "num_channels": 2, "hop_length": 128, "chunk_size": 12_700},
    "model": {
        "dim": 16,
        "depth": 1,
        "stereo": True,
        "num_stems": 1,
        "time_transformer_depth": 1,
        "freq_transformer_depth": 1,
        "num_bands": 8,
        "dim_head": 8,
        "heads": 2,
        "attn_dropout": 0.0,
        "ff_dropout": 0.0,
        "flash_attn": True,
        "sample_rate": RATE,
        "stft_n_fft": 512,
        "stft_hop_length": 128,
        "stft_win_length": 512,
        "stft_normalized": False,
        "mask_estimator_depth": 1,
    },
    "training": {"instruments": ["Vocals", "Other"], "target_instrument": "Vocals"},
    "inference": {"dim_t": 101, "num_overlap": 1},
}
BS_BANDS = (2,) * 8 + (4,) * 12 + (16,) * 4 + (32, 97)  # 257 bins
MDX23C = {
    "audio": {"sample_rate": RATE, "num_channels": 2, "hop_length": 256, "n_fft": 1024, "dim_f": 512, "dim_t": 64},
    "model": {
        "act": "gelu",
        "bottleneck_factor": 2,
        "growth": 4,
        "norm": "InstanceNorm",
        "num_blocks_per_scale": 1,
        "num_channels": 4,
        "num_scales": 2,
        "num_subbands": 2,
        "scale": [2, 2],
    },
    "training": {"instruments": ["kick", "snare", "toms"], "target_instrument": None},
    "inference": {"dim_t": 64, "num_overlap": 1},
}
VR = {"vr_model_param": "4band_v3", "primary_stem": "No Echo", "nout": 8, "nout_lstm": 16}
CHUNKS = {"vocals_mel_band_roformer.ckpt": 12_800, "tiny_bs.ckpt": 12_800, "tiny_mdx23c.ckpt": 16_128}  # samples


def make(folder: Path) -> None:
    """Write the models of torch; those in ONNX are there already."""
    import torch
    import yaml
    from audio_separator.separator.roformer.roformer_loader import RoformerLoader
    from audio_separator.separator.uvr_lib_v5.tfc_tdf_v3 import TFC_TDF_net
    from audio_separator.separator.uvr_lib_v5.vr_network.nets_new import CascadedNet
    from ml_collections import ConfigDict

    torch.manual_seed(6)
    bs = json.loads(json.dumps(MEL))
    del bs["model"]["num_bands"], bs["model"]["sample_rate"]
    bs["model"] |= {"freqs_per_bands": BS_BANDS, "num_stems": 2}
    bs["training"] = {"instruments": ["Speech", "No Speech"], "target_instrument": None}
    for name, config in (("vocals_mel_band_roformer", MEL), ("tiny_bs", bs)):
        network = RoformerLoader().load_model(str(folder / "none"), config).model
        torch.save(network.state_dict(), folder / f"{name}.ckpt")
        (folder / f"{name}.yaml").write_text(yaml.dump(config))  # with tuples, as the publishers' have
    torch.save(TFC_TDF_net(ConfigDict(MDX23C), device="cpu").state_dict(), folder / "tiny_mdx23c.ckpt")
    (folder / "tiny_mdx23c.yaml").write_text(yaml.dump(MDX23C))
    tables: dict[str, dict[str, Any]] = {"mdx": {}, "vr": {}}
    torch.save(CascadedNet(2 * 672, 31_191, nout=8, nout_lstm=16).state_dict(), folder / "tiny_vr.pth")
    tables["vr"][_md5(folder / "tiny_vr.pth")] = VR
    for name, stem in (("kuielab_b_drums.onnx", "Drums"), ("kuielab_a_bass.onnx", "Bass")):
        tables["mdx"][_md5(folder / name)] = {**MDX, "primary_stem": stem}
    for kind, table in tables.items():
        (folder / f"{kind}_model_data.json").write_text(json.dumps(table))


def separate(folder: Path) -> None:
    """Its own separation of a song by each model, in its own chunks."""
    sys.modules["onnx2torch"] = types.ModuleType("onnx2torch")  # not needed here, and it wants a whole torchvision
    import soundfile
    from audio_separator.separator import Separator

    kinds = ("vr", "mdx", "mdx23c", "demucs")
    lists: dict[str, Any] = {f"{kind}_download{vip}_list": {} for kind in kinds for vip in ("", "_vip")}
    lists["roformer_download_list"] = {"BS": {"tiny_bs.ckpt": "tiny_bs.yaml"}}
    lists["mdx23c_download_list"] = {"MDX23C": {"tiny_mdx23c.ckpt": "tiny_mdx23c.yaml"}}
    lists["mdx_download_list"] = {"b": "kuielab_b_drums.onnx", "a": "kuielab_a_bass.onnx"}
    lists["vr_download_list"] = {"VR": "tiny_vr.pth"}
    (folder / "download_checks.json").write_text(json.dumps(lists))
    own = Separator(model_file_dir=str(folder), output_dir=str(folder), log_level=logging.CRITICAL)
    song: np.ndarray[Any, np.dtype[np.float32]] = np.load(folder / "song.npy")
    for name in ("kuielab_b_drums.onnx", "kuielab_a_bass.onnx", *CHUNKS, "tiny_vr.pth"):
        own.load_model(name)
        model = own.model_instance
        mix = song[:, : 5 * CHUNKS[name]] if name in CHUNKS else song
        if name.endswith(".pth"):
            mix = song[:, : 2 * RATE]
            soundfile.write(folder / "song.wav", mix.T, RATE, subtype="FLOAT")
            stems = _by_masks(model, folder / "song.wav")
        else:
            stems = model.demix(mix.copy())
        if not isinstance(stems, dict):
            stems = {model.primary_stem_name: stems, model.secondary_stem_name: mix - MDX["compensate"] * stems}
        np.savez(folder / f"{name}.npz", mix=mix, **{key: value.astype(np.float32) for key, value in stems.items()})


def _by_masks(model: Any, song: Path) -> dict[str, Any]:
    model.audio_file_path, model.wav_subtype = str(song), "FLOAT"
    model._ensure_model_loaded(31_191)
    parts = model.inference_vr(model.loading_mix(), model.torch_device, model.aggressiveness)
    return dict(zip((model.primary_stem_name, model.secondary_stem_name), map(model.spec_to_wav, parts), strict=True))


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    make(place)
    separate(place)
