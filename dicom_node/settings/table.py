"""What every table of the settings has in common."""

from pydantic import BaseModel, ConfigDict


class SettingsTable(BaseModel):
    """A table of ``node.toml``: frozen, strict, no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
