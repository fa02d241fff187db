"""What the operator sets once, from the environment."""

from __future__ import annotations

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stemwright.audio.decode import DecodeLimits
from stemwright.errors import OptionError


class Settings(BaseSettings):
    """Limits on what a recording may cost, as `STEMWRIGHT_MAX_DURATION` and so on."""

    model_config = SettingsConfigDict(env_prefix="STEMWRIGHT_", frozen=True)

    max_duration: float = Field(default=3600.0, gt=0, le=24 * 3600, description="seconds")
    max_bytes: int = Field(default=4 << 30, gt=0)
    decode_timeout: float = Field(default=120.0, gt=0, description="seconds spent waiting for the decoder")

    def limits(self) -> DecodeLimits:
        """The limits for the decoder."""
        return DecodeLimits(duration=self.max_duration, size_bytes=self.max_bytes, wall_clock=self.decode_timeout)


def load_settings() -> Settings:
    """Read the environment. Raises `OptionError` naming every variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(f"STEMWRIGHT_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        raise OptionError(faults) from error
