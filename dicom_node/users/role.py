"""What people and programs may do."""

from enum import StrEnum


class UserRole(StrEnum):
    """A role; each may do what the ones before it may. The values are stored; never rename one."""

    VIEWER = "viewer"  #: sees everything
    OPERATOR = "operator"  #: moves studies and deliveries along
    ADMIN = "admin"  #: changes settings, models and users

    def includes(self, other: "UserRole") -> bool:
        """Return whether this role may do whatever the other one may."""
        order = list(UserRole)
        return order.index(self) >= order.index(other)
