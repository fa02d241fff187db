"""The program that runs one model of `audio-separator` in a process of its own, whose environment may be another.

It is run as a file, and so imports nothing of Stemwright. A request is a line of JSON on standard input, and an answer
one on standard output; where they have a `shape`, that many float32 follow. What a model gives is
what `audio_separator` 0.47 makes of it, with its own networks; its loops over a song are left aside.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    Samples = npt.NDArray[np.float32]

_MDX_HOP: Final = 1024  # samples, between the frames of every MDX network
_VR_WINDOW: Final = 512  # frames that a VR network sees at once
_VR_WINDOWS: Final = 10  # of them, less what they overlap, whose masks a chunk gives
_VR_SIZES: Final = (31191, 33966, 56817, 123821, 123812, 129605, 218409, 537238, 537227)  # KiB, tell networks apart
_PAIRS: Final = {"vocals": "instrumental", "instrumental": "vocals"}
_NOT: Final = "not_"


class Failure(Exception):  # noqa: N818  (it is one of Stemwright's errors, by its code)
    """What to tell Stemwright."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What Stemwright must know of a model."""

    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    segment: int  # samples
    context: int  # samples
    overlap: float
    shorter: bool = False
    device: str


class Model(Protocol):
    """A loaded model."""

    spec: Spec

    def separate(self, chunks: Samples) -> Samples:
        """`[B, C, T]` float32 to `[B, S, C, T]` float32."""
        ...


def slot(name: str) -> str:
    """The stem that a model's data call `name`: `No Drums` is `not_drums`."""
    words = "".join(letter if letter.isalnum() or letter == "-" else " " for letter in name.lower()).split()
    if len(words) > 1 and words[0] == "no":
        return _NOT + "_".join(words[1:])
    return "_".join(words) or "other"


def opposite(stem: str) -> str:
    """What a song is without a stem."""
    return _PAIRS.get(stem) or (stem.removeprefix(_NOT) if stem.startswith(_NOT) else _NOT + stem)


class Mdx:
    """MDX-Net: an ONNX network of spectra that gives one stem."""

    def __init__(self, weights: Path, data: dict[str, Any], *, device: str, raw: bool) -> None:
        import onnxruntime
        from audio_separator.separator.uvr_lib_v5.stft import STFT

        bins, frames, n_fft = data["mdx_dim_f_set"], 2 ** data["mdx_dim_t_set"], data["mdx_n_fft_scale_set"]
        self._session, provider = _session(onnxruntime, weights, device)
        (given,) = self._session.get_inputs()
        shape = [1, 4, bins, frames]
        if len(given.shape) != 4 or any(
            isinstance(has, int) and has != wants for has, wants in zip(given.shape[1:], shape[1:], strict=True)
        ):
            raise Failure("bad_weights", f"{weights.name} takes {given.shape}, not {shape}, as its data say")
        self._input = given.name
        self._stft = STFT(logging.getLogger(), n_fft, _MDX_HOP, bins, "cpu")
        self._gain, self._raw = float(data.get("compensate", 1.0)), raw
        primary = slot(data["primary_stem"])
        context = n_fft // 2
        self.spec = Spec(
            stems=(primary, opposite(primary)),
            sample_rate=44_100,
            channels=2,
            segment=_MDX_HOP * (frames - 1),
            context=context,
            overlap=0.25,
            device=provider,
        )

    def separate(self, chunks: Samples) -> Samples:
        """See `Model`. Raw, the stem lacks the gain that its network needs; the rest of the song has it taken off."""
        import torch

        spectra = self._stft(torch.from_numpy(chunks))
        spectra[:, :, :3] = 0
        parts = [self._session.run(None, {self._input: one[None].numpy()})[0] for one in spectra]
        primary = self._stft.inverse(torch.from_numpy(np.concatenate(parts))).numpy()
        rest = chunks - self._gain * primary
        return np.stack([primary if self._raw else self._gain * primary, rest], axis=1)


class Mdxc:
    """MDX23C and RoFormers: a torch network of samples, and a YAML that says all of it."""

    def __init__(self, weights: Path, data: dict[str, Any], *, device: str, segment: float | None) -> None:
        from audio_separator.separator.roformer.configuration_normalizer import ConfigurationNormalizer

        audio, training, inference = data["audio"], data["training"], data.get("inference") or {}
        kind = ConfigurationNormalizer().detect_model_type(data)
        self._device = _device(device)
        self._network = (_roformer if kind else _tfc_tdf)(weights, data, self._device)
        hop = (data["model"].get("stft_hop_length") if kind else None) or audio["hop_length"]
        frames = inference.get("dim_t") or audio["chunk_size"] // hop + 1
        instruments, target = [slot(name) for name in training["instruments"]], training.get("target_instrument")
        self._given = [slot(target)] if target else instruments
        self._length = hop * (int(frames) - 1)
        rate = int(audio.get("sample_rate", 44_100))
        n_fft = data["model"].get("stft_n_fft", 2048)
        if segment is not None and not kind:
            raise Failure("bad_option", f"{weights.name} has a fixed segment; leave --segment out")
        if segment is not None:
            self._length = max(-(-4 * n_fft // hop), round(segment * rate / hop)) * hop
        others = [stem for stem in instruments if stem not in self._given]
        rest = [others[0] if len(others) == 1 else opposite(self._given[0])] if target else []
        self.spec = Spec(
            stems=(*self._given, *rest),
            sample_rate=rate,
            channels=(2 if data["model"].get("stereo") else 1) if kind else int(audio["num_channels"]),
            segment=self._length,
            context=0,
            overlap=1 - 1 / max(2, int(inference.get("num_overlap") or 2)),
            device=str(self._device),
        )

    def separate(self, chunks: Samples) -> Samples:
        """See `Model`."""
        import torch

        with torch.inference_mode():
            answer = self._network(torch.from_numpy(chunks).to(self._device)).float().cpu().numpy()
        batch, channels, length = chunks.shape
        stems = answer.reshape(batch, len(self._given), channels, -1)[..., :length]
        stems = np.pad(stems, [(0, 0)] * 3 + [(0, length - stems.shape[-1])])
        if len(self.spec.stems) == len(self._given):
            return stems
        return np.concatenate([stems, (chunks - stems[:, 0])[:, None]], axis=1)


class Vr:
    """VR: a torch network that gives a mask for the magnitudes of a spectrum joined from bands."""

    def __init__(self, weights: Path, data: dict[str, Any], *, device: str, segment: float | None) -> None:
        from audio_separator.separator.architectures import vr_separator

        vr_separator.tqdm = lambda steps: steps
        torch_device = _device(device)
        self._own = vr_separator.VRSeparator(
            {
                "logger": logging.getLogger(),
                "log_level": logging.ERROR,
                "torch_device": torch_device,
                "model_name": weights.stem,
                "model_path": str(weights),
                "model_data": data,
            },
            {"aggression": 5, "window_size": _VR_WINDOW, "batch_size": 1},
        )
        size = -(-weights.stat().st_size // 1024)
        self._own._ensure_model_loaded(min(_VR_SIZES, key=lambda known: abs(known - size)))
        self._parameters = self._own.model_params
        top = self._bands[max(self._bands)]
        primary = slot(data["primary_stem"])
        window = top["hl"] * (_VR_WINDOW - 2 * self._own.model_run.offset)  # where it is sure of a mask, in samples
        windows = _VR_WINDOWS if segment is None else max(1, round(segment * top["sr"] / window))
        self.spec = Spec(
            stems=(primary, opposite(primary)),
            sample_rate=top["sr"],
            channels=2,
            segment=(windows + 2) * window,
            context=window,  # so that windows lie where audio_separator has them, which needs no overlap
            overlap=0.0,
            shorter=True,
            device=str(torch_device),
        )

    @property
    def _bands(self) -> dict[int, dict[str, Any]]:
        bands: dict[int, dict[str, Any]] = self._parameters.param["band"]
        return bands

    def separate(self, chunks: Samples) -> Samples:
        """See `Model`. Its level is that of each chunk, where `audio_separator` knows that of the song."""
        return np.stack([self._separate(chunk) for chunk in chunks])

    def _separate(self, chunk: Samples) -> Samples:
        if not chunk.any():
            return np.zeros((2, *chunk.shape), np.float32)
        specs = self._own.inference_vr(self._spectrum(chunk), self._own.torch_device, self._own.aggressiveness)
        out = np.zeros((2, *chunk.shape), np.float32)
        for stem, spec in zip(out, specs, strict=True):
            wave = self._own.spec_to_wav(np.nan_to_num(spec, nan=0.0, posinf=0.0, neginf=0.0))[:, : chunk.shape[1]]
            stem[:, : wave.shape[1]] = wave
        return out

    def _spectrum(self, chunk: Samples) -> npt.NDArray[np.complex64]:
        """The bands joined, as `VRSeparator.loading_mix` does it with a file."""
        import librosa
        from audio_separator.separator.uvr_lib_v5 import spec_utils

        top, is_new = max(self._bands), self._own.is_vr_51_model
        waves, specs = {top: chunk}, {}
        for number in range(top, 0, -1):
            band = self._bands[number]
            if number < top:
                waves[number] = librosa.resample(
                    waves[number + 1],
                    orig_sr=self._bands[number + 1]["sr"],
                    target_sr=band["sr"],
                    res_type=band["res_type"],
                )
            specs[number] = spec_utils.wave_to_spectrogram(
                waves[number], band["hl"], band["n_fft"], self._parameters, band=number, is_v51_model=is_new
            )
        joined: npt.NDArray[np.complex64] = spec_utils.combine_spectrograms(
            specs, self._parameters, is_v51_model=is_new
        )
        return joined


def load(request: dict[str, Any]) -> Model:
    """The model that a request names. Raises `Failure`, and whatever comes of data and weights that do not fit."""
    _trust_no_pickle()
    weights, data = Path(request["weights"]), request["data"]
    segment, device = request["segment"], request["device"]
    if "training" in data:
        return Mdxc(weights, data, device=device, segment=segment)
    if "vr_model_param" in data:
        return Vr(weights, data, device=device, segment=segment)
    if segment is not None:
        raise Failure("bad_option", f"{weights.name} has a fixed segment; leave --segment out")
    return Mdx(weights, data, device=device, raw=request["raw"])


def _trust_no_pickle() -> None:
    """Whatever loads weights here, refuse a pickle that is more than tensors."""
    import functools

    import torch

    if not isinstance(torch.load, functools.partial):
        torch.load = functools.partial(torch.load, weights_only=True)


def _roformer(weights: Path, data: dict[str, Any], device: torch.device) -> Any:
    from audio_separator.separator.roformer.roformer_loader import RoformerLoader

    result = RoformerLoader().load_model(str(weights), data, str(device))
    if not result.success:
        raise Failure("bad_weights", f"{weights.name} cannot be used: {_line(result.error_message)}")
    return result.model.eval()


def _tfc_tdf(weights: Path, data: dict[str, Any], device: torch.device) -> Any:
    import torch
    from audio_separator.separator.uvr_lib_v5.tfc_tdf_v3 import TFC_TDF_net
    from ml_collections import ConfigDict

    network = TFC_TDF_net(ConfigDict(data), device=device)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.to(device).eval()


def _session(onnxruntime: Any, weights: Path, device: str) -> tuple[Any, str]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    wanted = "CUDAExecutionProvider"
    has = wanted in onnxruntime.get_available_providers()
    cuda = re.fullmatch(r"cuda(?::(\d+))?", device)
    if device not in {"auto", "cpu"} and not (cuda and has):
        raise Failure("device_unavailable", f"{weights.name} needs an onnxruntime for {device}, and there is none")
    if device == "cpu" or not has:
        return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"]), "cpu"
    index = int((cuda and cuda[1]) or 0)
    session = onnxruntime.InferenceSession(str(weights), options, providers=[(wanted, {"device_id": index})])
    if wanted not in session.get_providers():  # it says so on its log only
        if device != "auto":
            raise Failure("device_unavailable", f"onnxruntime cannot use {device}")
        return session, "cpu"
    return session, f"cuda:{index}"


def _device(asked: str) -> torch.device:
    import torch

    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(asked)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise Failure("device_unavailable", f"the device {asked} cannot be used: {_line(error)}") from error
    return torch.device("cuda:0") if asked == "cuda" else device


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _failure(error: Exception, otherwise: str) -> dict[str, Any]:
    code, message = otherwise, _line(error)
    if isinstance(error, Failure):
        code = error.code
    elif isinstance(error, ImportError):
        code, message = "model_unavailable", f"audio-separator's environment is not whole: {message}"
    elif isinstance(error, KeyError):
        message = f"its data lack {error}"
    elif isinstance(error, MemoryError) or "out of memory" in message.lower():
        code = "out_of_memory"
    return {"error": {"code": code, "message": message}}


def _free() -> None:
    """Give memory back that a dropped model had."""
    gc.collect()
    if (torch := sys.modules.get("torch")) and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer requests until there are no more: to load a model, to separate chunks; an empty one drops the model."""

    def answer(head: dict[str, Any], body: bytes = b"") -> None:
        target.write(json.dumps(head).encode() + b"\n" + body)
        target.flush()

    model: Model | None = None
    for line in source:
        request = json.loads(line)
        if "shape" in request:
            body = source.read(4 * int(np.prod(request["shape"])))
            try:
                chunks = np.frombuffer(bytearray(body), np.float32).reshape(request["shape"])
                if model is None:
                    raise Failure("model_failed", "there is no model")
                stems = model.separate(chunks)
            except Exception as error:  # noqa: BLE001  (of packages of other people)
                answer(_failure(error, "model_failed"))
            else:
                answer({"shape": stems.shape}, np.ascontiguousarray(stems, np.float32).tobytes())
            continue
        model = None
        _free()
        if request:
            try:
                model = load(request)
            except Exception as error:  # noqa: BLE001  (of their files, too)
                answer(_failure(error, "bad_weights"))
            else:
                answer({"spec": vars(model.spec)})


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what others print is no answer
    logging.disable(logging.CRITICAL)
    serve(sys.stdin.buffer, out)
