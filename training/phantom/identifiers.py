"""Identifiers that are the same for the same seed."""

import uuid

#: Name space of the UIDs of simulated data, itself derived from a name.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://ichnode.invalid/simulated-head-ct")


def simulated_uid(*parts: str | int) -> str:
    """Return a UID derived from a UUID of the given parts (PS3.5, section B.2: root 2.25)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(str(part) for part in parts)).int}"
