"""One tree of errors: each has a stable code, an HTTP status, and says whether trying again can help."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class StemwrightError(Exception):
    """Base of every error that Stemwright raises on purpose."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    @property
    def message(self) -> str:
        """What to tell the user: one sentence."""
        return str(self.args[0]) if self.args else self.__doc__ or self.code


class InputError(StemwrightError):
    """The recording cannot be used."""

    code = "bad_input"
    status = 422


class NotFoundError(InputError):
    """There is no such file."""

    code = "not_found"
    status = 404


class NoSongsError(InputError):
    """Nothing that was named holds a song."""

    code = "no_songs"
    status = 404


class EmptyInputError(InputError):
    """The recording holds no samples."""

    code = "empty"


class NotAudioError(InputError):
    """The file is not audio."""

    code = "not_audio"
    status = 415


class UnsupportedInputError(InputError):
    """The file is audio of a kind that is not supported."""

    code = "unsupported"
    status = 415


class TooLargeError(InputError):
    """The file has more bytes than allowed."""

    code = "too_large"
    status = 413


class TooLongError(InputError):
    """The recording lasts longer than allowed."""

    code = "too_long"
    status = 413


class NoAudioStreamError(InputError):
    """The file holds no audio stream."""

    code = "no_audio_stream"


class NoSuchTrackError(InputError):
    """The recording has no audio track of that number."""

    code = "no_such_track"


class CorruptInputError(InputError):
    """The recording is damaged beyond use."""

    code = "corrupt"


class DecodeTimeoutError(InputError):
    """Decoding took longer than allowed."""

    code = "decode_timeout"


class InputChangedError(InputError):
    """The file changed while it was being read."""

    code = "input_changed"
    status = 409
    retryable = True


class OptionError(StemwrightError):
    """An option has a value that cannot be used."""

    code = "bad_option"
    status = 422


class UntrustedFileError(OptionError):
    """A file of settings that nobody named is one that other users may have written."""

    code = "untrusted_file"


class UnknownModelError(OptionError):
    """There is no model of that name."""

    code = "unknown_model"


class UnknownStemError(OptionError):
    """The model does not give that stem."""

    code = "unknown_stem"


class StrategyError(OptionError):
    """The strategy cannot be used as it is written."""

    code = "bad_strategy"


class UnknownStrategyError(OptionError):
    """There is no strategy of that name."""

    code = "unknown_strategy"


class NoDrumStemError(OptionError):
    """A drum chart is made of the stem `drums`, which is not made."""

    code = "no_drum_stem"


class CallbackUrlError(OptionError):
    """The callback's address cannot be used."""

    code = "bad_callback_url"


class OutputExistsError(StemwrightError):
    """Files of another origin are in the way."""

    code = "output_exists"
    status = 409


class OutputError(StemwrightError):
    """The results could not be written."""

    code = "output_failed"


class DatabaseUnavailableError(StemwrightError):
    """The database is locked or away; try again."""

    code = "database_unavailable"
    status = 503
    retryable = True


class StorageUnavailableError(StemwrightError):
    """The object store cannot be used at the moment; try again."""

    code = "storage_unavailable"
    status = 503
    retryable = True


class DiskFullError(OutputError):
    """There is not enough room on the disk."""

    code = "disk_full"
    status = 507
    retryable = True


class SetupError(StemwrightError):
    """Something that this machine lacks is needed."""

    code = "setup"
    status = 503


class FfmpegMissingError(SetupError):
    """No ffmpeg was found."""

    code = "ffmpeg_missing"


class RendererMissingError(SetupError):
    """The package that draws PNG files is not here."""

    code = "renderer_missing"


class ModelUnavailableError(SetupError):
    """The model exists but its weights or its packages are not here."""

    code = "model_unavailable"


class WeightsError(SetupError):
    """The weights are damaged or not what they claim to be."""

    code = "bad_weights"


class ModelFileError(SetupError):
    """The description of a model cannot be used."""

    code = "bad_model_file"


class DeviceUnavailableError(SetupError):
    """The device asked for is not there."""

    code = "device_unavailable"


class OutOfMemoryError(StemwrightError):
    """The device's memory does not suffice."""

    code = "out_of_memory"
    status = 503
    retryable = True


class ExhaustedError(StemwrightError):
    """The machine has nothing left of something for now."""

    code = "exhausted"
    status = 503
    retryable = True


class BusyError(StemwrightError):
    """Too many wait for an engine already."""

    code = "busy"
    status = 503
    retryable = True


class TooComplexError(StemwrightError):
    """What was given is nested too deeply to be read."""

    code = "too_complex"
    status = 422


class WorkerError(StemwrightError):
    """The remote worker cannot be reached, or does not understand."""

    code = "worker_failed"
    status = 502
    retryable = True


class WorkerRefusedError(StemwrightError):
    """The remote worker refused the recording or the strategy, or has forgotten them."""

    code = "worker_refused"
    status = 400


class WorkerAnswerError(StemwrightError):
    """The remote worker answered what cannot be right."""

    code = "bad_worker_answer"
    status = 502


class CancelledError(StemwrightError):
    """The work was cancelled."""

    code = "cancelled"
    status = 409


class ModelFailedError(StemwrightError):
    """The model gave something that is no sound."""

    code = "model_failed"


class JobNotFoundError(StemwrightError):
    """There is no such job, song or file."""

    code = "not_found"
    status = 404


class NoChartError(StemwrightError):
    """The song has no drum chart."""

    code = "no_chart"
    status = 404


class ConflictError(StemwrightError):
    """The state of things does not allow that."""

    code = "conflict"
    status = 409


class ReportedError(StemwrightError):
    """What another process said went wrong, under the code that it gave."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # that of the other process


def error_of(code: str, message: str) -> StemwrightError:
    """The error that another process reported by its code; an unknown code becomes a `ReportedError`."""
    kinds = [StemwrightError]
    while kinds:
        kind = kinds.pop()
        if kind.code == code and "__init__" not in vars(kind):
            return kind(message)
        kinds.extend(kind.__subclasses__())
    return ReportedError(code, message)


def resource_error(error: Exception) -> StemwrightError | None:
    """What it means to the user that a resource of the process ran out; None for any other error.

    >>> resource_error(MemoryError())
    OutOfMemoryError('there is not enough memory for this')
    >>> resource_error(ValueError())
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return OutOfMemoryError("there is not enough memory for this")
    if isinstance(error, RecursionError):
        return TooComplexError("what was given is nested too deeply to be read")
    if getattr(error, "errno", None) in {errno.EMFILE, errno.ENFILE, errno.EAGAIN}:
        return ExhaustedError("this machine has no more files or processes to give; try again later")
    return None


def too_large(max_bytes: int, *, setting: str | None = "upload_max_bytes") -> TooLargeError:
    """The error for more bytes than are allowed; `setting` is what the operator may raise.

    >>> too_large(500_000_000)
    TooLargeError('that is more than the 500 MB that are allowed (setting upload_max_bytes)')
    """
    named = f" (setting {setting})" if setting else ""
    return TooLargeError(f"that is more than the {max_bytes / 1e6:g} MB that are allowed{named}")


def as_output_error(error: Exception, *, place: object = None) -> StemwrightError:
    """What an error of the system or of a storage means to the user; `place` is what could not be written.

    >>> as_output_error(OSError(28, "No space left on device", "/data/a.flac"))
    DiskFullError('the disk is full')
    >>> as_output_error(OSError(13, "Permission denied"), place="a.flac")
    OutputError('a.flac: Permission denied')
    """
    if ours := resource_error(error):
        return ours
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        return DiskFullError(f"{place}: the disk is full" if place else "the disk is full")
    words = getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
    return OutputError(f"{place or getattr(error, 'filename', None) or 'output'}: {words}")


@contextlib.contextmanager
def writing(place: object = None) -> Iterator[None]:
    """Let an OSError of a block be what it means to the user. Raises `DiskFullError`, `OutputError`."""
    try:
        yield
    except OSError as error:
        raise as_output_error(error, place=place) from error
