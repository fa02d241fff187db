"""Random checkpoints, and what the real Spleeter makes of them, in the throw-away environment of `make parity`.

`python spleeter_reference.py WORK VARIANT WAVE.npy [FILTERS CHECKPOINT]` makes a checkpoint of VARIANT (`4stems`) below
WORK, in the layout that Spleeter downloads, separates the wave (`[T, 2]` float32) with it, with both mask extensions,
and writes WORK/VARIANT.npz. FILTERS, such as `2,2,2,3,3,3`, makes smaller networks; CHECKPOINT is the folder of one
that is there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from spleeter.model import EstimatorSpecBuilder
from spleeter.separator import Separator
from spleeter.utils.configuration import load_configuration

SEED = 20261121


def random_value(name: str, shape: list[int], rng: np.random.Generator) -> Any:
    """Values of which every one changes the result: no mean of 0, no variance of 1, no two networks alike."""
    if name.endswith("kernel"):
        bound = np.sqrt(6 / np.prod(shape[:3]))  # he_uniform, as Spleeter starts
        return rng.uniform(-bound, bound, shape)
    kind = name.rpartition("/")[2]
    low, high = {"gamma": (0.6, 1.4), "moving_variance": (0.5, 2.0), "bias": (-0.1, 0.1)}.get(kind, (-0.3, 0.3))
    return rng.uniform(low, high, shape)


def save_checkpoint(folder: Path, params: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default():
        waveform = tf.compat.v1.placeholder(tf.float32, (None, 2))
        tf.compat.v1.train.create_global_step()
        EstimatorSpecBuilder({"waveform": waveform, "audio_id": tf.constant("")}, params).outputs  # noqa: B018
        rng = np.random.default_rng(SEED)
        with tf.compat.v1.Session() as session:
            for variable in tf.compat.v1.global_variables():
                shape = variable.shape.as_list()
                value = random_value(variable.op.name, shape, rng) if shape else 1_000_000
                variable.load(np.asarray(value, variable.dtype.as_numpy_dtype), session)
            tf.compat.v1.train.Saver().save(session, str(folder / "model"), write_meta_graph=False)
    (folder / ".probe").write_text("OK")


def main() -> None:
    work, variant, wave = Path(sys.argv[1]), sys.argv[2], np.load(sys.argv[3])
    params = load_configuration(f"spleeter:{variant}")
    folder = (work / variant).absolute()
    if len(sys.argv) > 4:
        params["model"]["params"]["conv_n_filters"] = [int(count) for count in sys.argv[4].split(",")]
        folder = Path(sys.argv[5]).absolute()
    if not (folder / "model.index").exists():
        save_checkpoint(folder, params)
    stems: dict[str, Any] = {}
    for extension in ("zeros", "average"):
        params |= {"model_dir": str(folder), "mask_extension": extension}
        path = work / f"{variant}-{extension}.json"
        path.write_text(json.dumps(params))
        made = Separator(str(path), multiprocess=False).separate(wave)
        stems |= {f"{extension}/{name}": made[name].T for name in params["instrument_list"]}
    np.savez(work / f"{variant}.npz", **stems)


if __name__ == "__main__":
    main()
