"""What the operator sets for this door, and for workers on RunPod."""

from __future__ import annotations

from pydantic import Field

from stemwright.setting_values import Address, Group, InSeconds, Word


class Settings(Group):
    """The door of the serverless pipeline, and workers on RunPod."""

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
