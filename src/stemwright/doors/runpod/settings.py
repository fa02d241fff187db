"""What the operator sets for this door, and for workers on RunPod."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from stemwright.setting_values import Address, Alias, Group, InSeconds, Objects, OptionalWord, Word


class Settings(Group):
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
