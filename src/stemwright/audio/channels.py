"""More than two channels to stereo, by the coefficients of ITU-R BS.775."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.errors import UnsupportedInputError

if TYPE_CHECKING:
    from stemwright.types import Samples

MAX_CHANNELS: Final = 8

_MINUS_3_DB: Final = 0.5**0.5

# The speakers of WAVE_FORMAT_EXTENSIBLE in the order of their bits in the mask, with their gains to left and right.
# BS.775-4, table 2, names left, right, centre and two surrounds; a single rear speaker is both surrounds at half power
# each, speakers beside the centre go to their side, and speakers overhead are treated as surrounds.
_SPEAKERS: Final[tuple[tuple[str, float, float], ...]] = (
    ("FL", 1.0, 0.0),
    ("FR", 0.0, 1.0),
    ("FC", _MINUS_3_DB, _MINUS_3_DB),
    ("LFE", 0.0, 0.0),
    ("BL", _MINUS_3_DB, 0.0),
    ("BR", 0.0, _MINUS_3_DB),
    ("FLC", 1.0, 0.0),
    ("FRC", 0.0, 1.0),
    ("BC", 0.5, 0.5),
    ("SL", _MINUS_3_DB, 0.0),
    ("SR", 0.0, _MINUS_3_DB),
    ("TC", 0.5, 0.5),
    ("TFL", _MINUS_3_DB, 0.0),
    ("TFC", 0.5, 0.5),
    ("TFR", 0.0, _MINUS_3_DB),
    ("TBL", _MINUS_3_DB, 0.0),
    ("TBC", 0.5, 0.5),
    ("TBR", 0.0, _MINUS_3_DB),
)

# What ffmpeg takes a file for that has this many channels and does not say which: 2.1, 4.0, 5.0, 5.1, 6.1, 7.1.
_DEFAULT_MASKS: Final = {1: 0x4, 2: 0x3, 3: 0xB, 4: 0x107, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}

_LAYOUTS: Final = {
    0x00B: "2.1",
    0x007: "3.0",
    0x00F: "3.1",
    0x033: "quad",
    0x603: "quad",
    0x107: "4.0",
    0x10F: "4.1",
    0x037: "5.0",
    0x607: "5.0",
    0x03F: "5.1",
    0x60F: "5.1",
    0x707: "6.0",
    0x70F: "6.1",
    0x13F: "6.1",
    0x637: "7.0",
    0x63F: "7.1",
    0x0FF: "7.1 (wide)",
}


def downmix_matrix(channels: int, *, mask: int = 0) -> Samples:
    """Give the gains that make stereo of a block: `matrix @ block`.

    Mono and stereo are left alone, so the result is [1, 1] or [2, 2] for them, and [2, C] float32 for 3 to 8 channels.
    Gains are factors. Left and right keep their gain, centre and surrounds get -3 dB, LFE is dropped; then the whole
    matrix is divided by its largest row sum if that exceeds 1, so that the mix cannot exceed full scale when no channel
    does (5.1: -7.7 dB). Channels come in the order of the bits of `mask` (WAVE_FORMAT_EXTENSIBLE: FL FR FC LFE BL BR
    FLC FRC BC SL SR …). A mask that does not name as many speakers as there are channels is not believed; then the
    layout is the one that ffmpeg assumes: 2.1, 4.0, 5.0, 5.1, 6.1, 7.1.

    Raises UnsupportedInputError for no channels or more than 8. Source: ITU-R BS.775-4, annex 4, table 2.
    """
    if channels <= 2:
        _check(channels)
        return np.eye(channels, dtype=np.float32)
    gains = np.array([_SPEAKERS[bit][1:] for bit in _speakers(channels, mask)], dtype=np.float64).T
    matrix: Samples = (gains / max(1.0, gains.sum(axis=1).max())).astype(np.float32)
    return matrix


def to_stereo(block: Samples, *, mask: int = 0) -> Samples:
    """Mix a block of 3 to 8 channels down to stereo; mono and stereo pass through untouched.

    Input [C, T] float32, output [min(C, 2), T] float32, with the gains of `downmix_matrix`. Each output sample depends
    on the input samples of its own instant only, so blocks may have any size. Raises UnsupportedInputError for no
    channels or more than 8.
    """
    channels = block.shape[0]
    if channels <= 2:
        _check(channels)
        return block
    matrix = downmix_matrix(channels, mask=mask)
    stereo = np.zeros((2, block.shape[1]), dtype=np.float32)
    for channel in range(channels):  # not `matrix @ block`: there the rounding depends on the size of the block
        stereo += matrix[:, channel, None] * block[channel]
    return stereo


def describe(channels: int, *, mask: int = 0) -> str:
    """Say in one line, for the receipt, what `to_stereo` does to a recording of this layout.

    Example: "5.1 downmixed to stereo (ITU-R BS.775: centre and surrounds -3 dB, LFE dropped; then all -7.7 dB so that
    nothing clips)". Raises UnsupportedInputError for no channels or more than 8.
    """
    _check(channels)
    if channels <= 2:
        return f"{'mono' if channels == 1 else 'stereo'}, not downmixed"
    bits = _speakers(channels, mask)
    names = [_SPEAKERS[bit][0] for bit in bits]
    layout = _LAYOUTS.get(sum(1 << bit for bit in bits), "+".join(names))
    said = "" if _is_believable(channels, mask) else f" (assumed of {channels} channels of no stated layout)"
    steps = []
    quieter = [
        *(["centre"] if "FC" in names else []),
        *(["surrounds"] if set(names) - {"FL", "FR", "FC", "LFE", "FLC", "FRC"} else []),
    ]
    if quieter:
        steps.append(f"{' and '.join(quieter)} -3 dB")
    if "LFE" in names:
        steps.append("LFE dropped")
    rule = ", ".join(steps) or "front speakers kept"
    attenuation_db = 20 * np.log10(np.array([_SPEAKERS[bit][1:] for bit in bits]).sum(axis=0).max())
    guard = f"; then all -{attenuation_db:.1f} dB so that nothing clips" if attenuation_db > 0.05 else ""
    return f"{layout}{said} downmixed to stereo (ITU-R BS.775: {rule}{guard})"


def _check(channels: int) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise UnsupportedInputError(f"The recording has {channels} channels; 1 to {MAX_CHANNELS} are supported.")


def _is_believable(channels: int, mask: int) -> bool:
    return 0 < mask < 1 << len(_SPEAKERS) and mask.bit_count() == channels


def _speakers(channels: int, mask: int) -> list[int]:
    """Give the bit of the speaker of each channel."""
    _check(channels)
    believed = mask if _is_believable(channels, mask) else _DEFAULT_MASKS[channels]
    return [bit for bit in range(len(_SPEAKERS)) if believed >> bit & 1]
