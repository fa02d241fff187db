"""What the operator sets for this door."""

from __future__ import annotations

from pydantic import Field

from stemwright.setting_values import Group, Size, Word


class Settings(Group):
    """The door of the Demucs page."""

    model: Word = Field(
        default="htdemucs_ft",
        description="The model for uploads through the door demucs-web that name none; where it cannot be had, "
        "`model.default`.",
    )
    upload_max_bytes: Size = Field(
        default=100_000_000, gt=0, description="The largest upload through the door demucs-web, as its page says."
    )
