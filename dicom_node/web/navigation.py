"""The pages that the head of every page leads to, in order."""

from dataclasses import dataclass
from typing import Final

from dicom_node.users.role import UserRole
from dicom_node.web.words import mark


@dataclass(frozen=True, slots=True, kw_only=True)
class NavigationEntry:
    """A page in the navigation: where, what it is called, and who sees it."""

    path: str
    title: str
    role: UserRole


NAVIGATION: Final = (
    NavigationEntry(path="/", title=mark("Overview"), role=UserRole.VIEWER),
    NavigationEntry(path="/studies", title=mark("Studies"), role=UserRole.VIEWER),
    NavigationEntry(path="/upload", title=mark("Upload"), role=UserRole.OPERATOR),
    NavigationEntry(path="/deliveries", title=mark("Deliveries"), role=UserRole.VIEWER),
    NavigationEntry(path="/peers", title=mark("AE titles"), role=UserRole.OPERATOR),
    NavigationEntry(path="/routing", title=mark("Routing"), role=UserRole.OPERATOR),
    NavigationEntry(path="/models", title=mark("Models"), role=UserRole.VIEWER),
    NavigationEntry(path="/watch", title=mark("Watch"), role=UserRole.VIEWER),
    NavigationEntry(path="/configuration", title=mark("Configuration"), role=UserRole.ADMIN),
    NavigationEntry(path="/audit", title=mark("Audit"), role=UserRole.ADMIN),
    NavigationEntry(path="/users", title=mark("Users"), role=UserRole.ADMIN),
)
