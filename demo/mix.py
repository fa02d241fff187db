"""The desk: room, echo, colour and balance; four stems whose float32 sum is the mix, to the last bit."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, fftconvolve, sosfilt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RATE = 44_100
STEMS = ("vocals", "drums", "bass", "other")
PEAK_DBFS = -1.0
FADE_SECONDS = 1.6
# Samples are whole multiples of this, so float32 adds the four stems without rounding, in any order.
GRID = 2.0**-22


def decibels(value: float) -> float:
    """Decibels to an amplitude factor."""
    return float(10.0 ** (value / 20.0))


def band_pass(x: "Floats", *, low: float | None = None, high: float | None = None) -> "Floats":
    """Cut below `low` and above `high` Hz, 12 dB an octave: [*, frames] to the same."""
    if low is not None:
        x = sosfilt(butter(2, low, btype="highpass", fs=RATE, output="sos"), x, axis=-1)
    if high is not None:
        x = sosfilt(butter(2, high, btype="lowpass", fs=RATE, output="sos"), x, axis=-1)
    return x


def pan(x: "Floats", *, place: float) -> "Floats":
    """Put mono [frames] at `place` (-1 left, 1 right) with equal power: [2, frames]."""
    angle = (place + 1) * np.pi / 4
    return np.stack([np.cos(angle) * x, np.sin(angle) * x])


def room(x: "Floats", *, seconds: float, pre_delay: float, seed: int) -> "Floats":
    """The reverberation alone of stereo [2, frames]: noise that decays by 60 dB in `seconds`, darker as it goes."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    t = np.arange(frames) / RATE
    bright = rng.normal(size=(2, frames))
    dark = band_pass(bright, high=2200.0) * 1.6
    balance = np.exp(-4 * t / seconds)
    tail = (bright * balance + dark * (1 - balance)) * 10 ** (-3 * t / seconds) * np.minimum(1, t / 0.008)
    tail = band_pass(tail, low=220.0, high=7000.0)
    tail /= np.sqrt((tail**2).sum(axis=1, keepdims=True))
    tail = np.pad(tail, ((0, 0), (round(pre_delay * RATE), 0)))
    return np.asarray(fftconvolve(x, tail, axes=1)[:, : x.shape[1]])


def echo(x: "Floats", *, seconds: float, times: int, fall: float) -> "Floats":
    """The echoes alone of [2, frames]: each `fall` times the one before, sides swapped."""
    out = np.zeros_like(x)
    for k in range(1, times + 1):
        shift = round(k * seconds * RATE)
        out[:, shift:] += fall**k * (x[:, :-shift] if k % 2 == 0 else x[::-1, :-shift])
    return band_pass(out, low=300.0, high=4500.0)


def saturate(x: "Floats", *, drive: float) -> "Floats":
    """Round the peaks of [*, frames] with tanh after scaling the largest to `drive`; that peak keeps its height."""
    peak = float(np.abs(x).max())
    return np.asarray(peak * np.tanh(x / peak * drive) / np.tanh(drive))


def glue(stems: "Floats", *, ceiling_db: float) -> "Floats":
    """Hold the sum of [4, 2, frames] to a ceiling (dB below its peak) with one smooth gain that all stems share."""
    level = np.abs(stems.sum(axis=0)).max(axis=0)
    ceiling = float(level.max()) * decibels(ceiling_db)
    reach = round(0.006 * RATE) | 1
    wanted = np.minimum(1.0, ceiling / np.maximum(maximum_filter1d(level, 2 * reach + 1), 1e-9))
    smooth = uniform_filter1d(uniform_filter1d(wanted, reach), reach)
    return np.asarray(stems * smooth)


def finish(stems: dict[str, "Floats"]) -> tuple[dict[str, "NDArray[np.float32]"], "NDArray[np.float32]"]:
    """Fade out, one common gain to the peak wanted, float32: stems and mix, each [2, frames]; the sum is exact."""
    stack = np.stack([stems[name] for name in STEMS])
    stack -= stack.mean(axis=2, keepdims=True)
    fade = round(FADE_SECONDS * RATE)
    stack[:, :, -fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    fade_in = round(0.01 * RATE)
    stack[:, :, :fade_in] *= np.linspace(0, 1, fade_in)
    stack = glue(stack, ceiling_db=-3.0)
    stack *= decibels(PEAK_DBFS) / np.abs(stack.sum(axis=0)).max()
    exact = (np.round(stack / GRID) * GRID).astype(np.float32)
    return dict(zip(STEMS, exact, strict=True)), exact.sum(axis=0, dtype=np.float32)
