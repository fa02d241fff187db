"""Networks in onnxruntime on the processor: the same bits each time, and no thread that spins while others work."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from stemwright.errors import WeightsError
from stemwright.subnormals import as_zero

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from onnxruntime import InferenceSession

    from stemwright.types import Digest


class Network:
    """A network, open to run; subnormal numbers are zero in it, on all its threads."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self.inputs, self.outputs = session.get_inputs(), session.get_outputs()
        self.metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map

    def run(self, inputs: Mapping[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        """All outputs for all inputs, by their names. Raises as onnxruntime does."""
        with as_zero():  # its own threads have a setting; this one works too
            found: list[npt.NDArray[np.float32]] = self._session.run(None, inputs)
        return found


def open_network(model: bytes, *, threads: int, arena: bool = True) -> Network:
    """Open an ONNX model; `threads` work at each operator, and an `arena` keeps the memory that it once held.

    Raises `WeightsError` for what onnxruntime cannot run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    options.intra_op_num_threads = threads  # its own default pins them to cores, busy or not
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = arena
    options.enable_mem_pattern = not arena  # in an arena it doubles: htdemucs took 1.9 GB with it, 1.25 without
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # attention is full of shares that are nearly zero: as subnormal numbers they made htdemucs 1.4 times slower
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # weights in other files would come from the current folder, and no digest covers them: there is no such folder
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", "/dev/null/no-folder")
    try:
        with as_zero():  # the first session of a process would set this thread so, for good
            return Network(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # onnxruntime has many kinds and no common one
        raise WeightsError(f"onnxruntime cannot run it: {error}") from error


def open_ours(weights: Path, *, threads: int, arena: bool = True) -> tuple[Network, dict[str, Any], Digest]:
    """As `open_network`, for a file that `training/` wrote: also what it says about itself, and its SHA-256.

    Raises `WeightsError` when it is damaged or of another kind.
    """
    try:
        data = weights.read_bytes()
        network = open_network(data, threads=threads, arena=arena)
        about = json.loads(network.metadata["stemwright"])
    except (OSError, WeightsError, KeyError, ValueError) as error:
        raise WeightsError(f"the weights {weights} cannot be read: {error}") from error
    return network, about, hashlib.sha256(data).hexdigest()
