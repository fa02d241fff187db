"""What the operator sets for this door."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stemwright.setting_values import Address, Alias, Group


class Settings(Group):
    """The door of the Godot game."""

    public_url: Annotated[Address, Alias("STEM_SERVER_URL")] = Field(
        default=None,
        description="The address under which its clients reach the door drumalong, for the links that it gives them; "
        "none: the one that they asked.",
    )
