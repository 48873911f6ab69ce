"""Which series are urgent, and why. The site's rules are data."""

from collections.abc import Iterable
from dataclasses import dataclass

from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.selection import TextRule


@dataclass(frozen=True, slots=True, kw_only=True)
class UrgencyRules:
    """What makes a series urgent: any of these.

    Attributes
    ----------
    callers : frozenset of str
        AE titles that send nothing but urgent images.
    priorities : frozenset of str
        Values of Requested Procedure Priority (0040,1003) or of the retired Study Priority ID
        (0032,000C), in capitals.
    rules : tuple of TextRule
        Patterns, one of which is found.
    """

    callers: frozenset[str] = frozenset()
    priorities: frozenset[str] = frozenset()
    rules: tuple[TextRule, ...] = ()


#: Nothing is urgent.
NO_URGENCY = UrgencyRules()


def urgency(
    variants: Iterable[SeriesAttributes], calling_ae_title: str, rules: UrgencyRules
) -> str:
    """Return why a series is urgent, in words of the rule that says so; empty if it is not.

    Parameters
    ----------
    variants
        Every distinct header among its images.
    calling_ae_title
        Who sent its first image.
    rules
        What the site calls urgent.
    """
    if calling_ae_title in rules.callers:
        return f"it came from {calling_ae_title}"
    for attributes in variants:
        priority = attributes.priority.upper()
        if priority in rules.priorities:
            return f"its priority is {priority}"
        for rule in rules.rules:
            if rule.fits(attributes):
                return rule.words
    return ""
