"""Tensors as files of weights have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stemwright.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


def check_finite(tensors: Mapping[str, npt.NDArray[np.float32]], *, where: str) -> None:
    """Refuse weights that are not finite numbers: all stems would be. Raises `WeightsError`."""
    for name, values in tensors.items():
        if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max())):  # both pass NaN on
            raise WeightsError(f"{name} of {where} holds values that are not finite numbers")
