"""What the operator sets for doors: a group for each that has settings of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from stemwright.app._settings_leaves import Alias
from stemwright.app._settings_values import (
    Address,
    Folders,
    Group,
    InSeconds,
    Lower,
    Objects,
    OptionalFolder,
    OptionalWord,
    Size,
    Socket,
    WebhookSecret,
    Word,
)


class Drumalong(Group):
    """The door of the Godot game."""

    public_url: Annotated[Address, Alias("STEM_SERVER_URL")] = Field(
        default=None,
        description="The address under which its clients reach the door drumalong, for the links that it gives them; "
        "none: the one that they asked.",
    )


class DemucsWeb(Group):
    """The door of the Demucs page."""

    model: Word = Field(
        default="htdemucs_ft",
        description="The model for uploads through the door demucs-web that name none; where it cannot be had, "
        "`model.default`.",
    )
    upload_max_bytes: Size = Field(
        default=100_000_000, gt=0, description="The largest upload through the door demucs-web, as its page says."
    )


class Runpod(Group):
    """The door of the serverless pipeline, and workers on RunPod."""

    storage: Objects = Field(
        default=None,
        description="Where the results of the door runpod, and of a worker on RunPod, are put: `s3://bucket/prefix` or "
        "`file:///folder`; none: the folder `runpod` in `data`.",
    )
    endpoint: Annotated[Address, Alias("BUCKET_ENDPOINT_URL")] = Field(
        default=None, description="The address of its S3 API where that is not Amazon's, as of R2."
    )
    region: Word = Field(default="auto", description="The region of the bucket.")
    access_key_id: Annotated[OptionalWord, Alias("R2_ACCESS_KEY_ID"), Alias("BUCKET_ACCESS_KEY_ID")] = Field(
        default=None, description="The key of the bucket; none: what Amazon's own variables say."
    )
    secret_access_key: Annotated[SecretStr | None, Alias("R2_SECRET_ACCESS_KEY"), Alias("BUCKET_SECRET_ACCESS_KEY")] = (
        Field(default=None, description="The secret of that key.")
    )
    link_seconds: InSeconds = Field(
        default=86_400.0, ge=1, le=604_800, description="Seconds that a link to a result is good for; S3 knows 7 days."
    )
    public_url: Address = Field(
        default=None,
        description="The address under which its clients reach the door runpod, for links to results in a folder; "
        "none: the one that they asked, and `file://` in the answers of a worker.",
    )
    max_duration: InSeconds = Field(default=600.0, gt=0, description="Seconds of the longest recording there.")
    model_2stems: Word = Field(default="spleeter:2stems", description="The model that `2stems` means there.")
    model_4stems: Word = Field(default="spleeter:4stems", description="The model that `4stems` means there.")
    model_5stems: Word = Field(default="spleeter:5stems", description="The model that `5stems` means there.")


class Stemset(Group):
    """The door of Stemset."""

    config: OptionalFolder = Field(
        default=None,
        description="The `config.yaml` with Stemset's profiles; none: the door has no profiles, and `stemwright "
        "process` takes `./config.yaml`.",
    )
    media: OptionalFolder = Field(
        default=None,
        description="The folder `media` with what was processed, `PROFILE/NAME/…`; none: the one beside that file.",
    )
    bypass_auth: Annotated[bool | None, Alias("STEMSET_BYPASS_AUTH")] = Field(
        default=None,
        description="`true`: everybody is signed in there. There is no sign-in yet: with `false`, or with `auth` in "
        "`config.yaml` and without `true`, the server does not start. The `.env` beside that file may say it too.",
    )
    public_url: Annotated[Address, Alias("BACKEND_URL")] = Field(
        default=None,
        description="The address under which a remote worker reaches the door stemset to say that a job has ended; "
        "none: it is asked.",
    )
    worker_secret: WebhookSecret = Field(
        default=None, description="The `callbacks.secret` of that remote worker, by which what it says is believed."
    )
    worker_max_bytes: Size = Field(
        default=4 << 30, gt=0, description="The most bytes that it may send as the stems of one recording."
    )
    worker_timeout: InSeconds = Field(
        default=3600.0, gt=0, description="Seconds that one exchange with it, such as sending a stem, may take."
    )


class Mismo(Group):
    """The door of Mismo DJ."""

    library: Folders = Field(
        default=(),
        description="Folders whose recordings the door mismo may read, as absolute paths; none: it reads no file.",
    )
    jobs_dir: Annotated[OptionalFolder, Alias("JOBS_DIR")] = Field(
        default=None,
        description="Where it puts stems, a folder for each job; none: `mismo/jobs` in the data folder.",
    )
    stem_format: Annotated[Literal["wav", "wav24", "wav32f"], Lower, Alias("STEM_FORMAT")] = Field(
        default="wav", description="`wav` (16 bits), `wav24` or `wav32f`: the stems there."
    )
    engine_url: Annotated[Socket, Alias("AUDIO_SERVER_WS_URL")] = Field(
        default=None, description="The WebSocket of Mismo's audio engine, which is then called; it may call us too."
    )
    keepalive_seconds: InSeconds = Field(
        default=20.0, gt=0, le=3600, description="Seconds between two looks whether the audio engine is there."
    )
    timeout_seconds: Annotated[InSeconds, Alias("ANALYSIS_TIMEOUT_MS", unit="ms")] = Field(
        default=0.0, ge=0, description="Seconds that a job of this door may run; 0: as long as any other job."
    )
    scan_seconds: InSeconds = Field(
        default=300.0, ge=0, description="Seconds between two looks through the library; 0: one, at the start."
    )
