from __future__ import annotations

import numpy as np
import pytest

from stemwright.errors import WeightsError
from stemwright.weights.tensors import check_finite

LARGEST = np.finfo(np.float32).max


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_tensor_with_one_value_that_is_no_number_is_refused_by_name(bad: float) -> None:
    values = np.ones((3, 4, 5), np.float32)
    values[1, 2, 3] = bad
    with pytest.raises(WeightsError, match=r"decoder\.0 of mine\.th holds values that are not finite"):
        check_finite({"encoder": np.ones(2, np.float32), "decoder.0": values}, where="mine.th")


def test_largest_numbers_and_empty_tensors_are_taken() -> None:
    check_finite({"empty": np.zeros((0, 3), np.float32), "large": np.array([-LARGEST, LARGEST])}, where="mine.th")
