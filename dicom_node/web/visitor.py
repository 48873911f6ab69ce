"""Whoever asks for a page."""

from dataclasses import dataclass, field
from enum import StrEnum

from dicom_node.users.role import UserRole


class Way(StrEnum):
    """How a visitor came in."""

    SESSION = "session"  #: logged in with a browser
    TOKEN = "token"  # noqa: S105 - a program with a secret; this is the word, not the secret
    LOOPBACK = "loopback"  #: sits at this machine, and the site lets that read


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks, what he or she may do, where from, and the secret that a form must bring."""

    name: str
    role: UserRole
    way: Way
    address: str = ""
    form_secret: str = field(default="", repr=False)

    def may(self, role: UserRole) -> bool:
        """Return whether the visitor may do what this role may."""
        return self.role.includes(role)
