"""What the operator sets for this door, and for `stemwright process`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stemwright.setting_values import Address, Alias, Group, InSeconds, OptionalFolder, Size, WebhookSecret


class Settings(Group):
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
        description="`true` lets everybody in. The door cannot make people sign in yet, so the server refuses to start "
        "with `false`, and where `config.yaml` has `auth` and nothing is set here. Set `true`, or leave it out where "
        "there is no `auth`. The `.env` beside `config.yaml` may say it too.",
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
