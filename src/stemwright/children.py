"""The environment of child processes: what the system, Python and the numeric libraries read, and no secret of ours.

A process of ours says at its start what its children get (`configure`); who starts one passes `environment()` on. The
callbacks' secret, keys of storage, and whatever else an operator keeps in variables stays where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# fmt: off
_NAMES: Final = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME",
    "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "STEMWRIGHT_STOP_AT",
))
_PREFIXES: Final = (
    "LC_", "DYLD_", "PYTHON", "CUDA_", "NVIDIA_", "CUDNN_", "HIP_", "ROCR_", "HSA_", "PYTORCH_", "TORCH", "OMP_",
    "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "VECLIB_", "NUMBA_", "ORT_", "HF_", "MALLOC_", "NPM_CONFIG_", "PIP_",
)
# fmt: on

_given: Mapping[str, str] | None = None


def needed(environ: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a child needs that reads no settings.

    >>> needed({"PATH": "/bin", "LC_ALL": "C", "http_proxy": "http://p", "STEMWRIGHT_CALLBACKS_SECRET": "x"})
    {'PATH': '/bin', 'LC_ALL': 'C', 'http_proxy': 'http://p'}
    """
    return {
        name: value for name, value in environ.items() if name.upper() in _NAMES or name.upper().startswith(_PREFIXES)
    }


def configure(environ: Mapping[str, str]) -> None:
    """Let the children of this process get what they need of an environment, as it is when they are started."""
    global _given  # noqa: PLW0603
    _given = environ


def environment(**more: str) -> dict[str, str] | None:
    """The environment for a child, with variables of its own; None, which is this process's, before `configure`."""
    return None if _given is None else needed(_given) | more
