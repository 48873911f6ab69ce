"""What a peer answered to each presentation context, in words an administrator can act on."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.uid import UID

ACCEPTANCE = 0

#: Result of a presentation context (PS3.8, table 9-18) and what there is to do about it.
_RESULTS = {
    ACCEPTANCE: "accepted",
    1: "refused by the peer's user: it knows the class, but does not take it from this AE title",
    2: "refused without a reason",
    3: "refused: SOP class not supported",
    4: "refused: transfer syntax not supported",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextAnswer:
    """The peer's answer to one proposed presentation context.

    Attributes
    ----------
    context_id : int
        Odd number, 1 to 255.
    sop_class_uid, transfer_syntax_uid : str
        What was proposed.
    result : int
        0 is acceptance; the others as in PS3.8, table 9-18.
    """

    context_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    result: int

    @property
    def accepted(self) -> bool:
        """Whether objects of this class may be sent in this encoding."""
        return self.result == ACCEPTANCE

    @property
    def verdict(self) -> str:
        """What the peer answered, in words."""
        return _RESULTS.get(self.result, f"refused with the unknown result {self.result}")

    def __str__(self) -> str:
        """Return the answer as one line."""
        return (
            f"context {self.context_id}: {UID(self.sop_class_uid).name} "
            f"in {UID(self.transfer_syntax_uid).name}: {self.verdict}"
        )


def why_refused(answers: Iterable[ContextAnswer], sop_class_uid: str) -> str:
    """Return in words why no context of a SOP class was accepted, empty if none was proposed."""
    verdicts = dict.fromkeys(
        answer.verdict
        for answer in answers
        if answer.sop_class_uid == sop_class_uid and not answer.accepted
    )
    return "; ".join(verdicts)


def negotiation_dump(answers: Iterable[ContextAnswer]) -> str:
    """Return one line per proposed context, in the order they were proposed."""
    return "\n".join(str(answer) for answer in sorted(answers, key=lambda one: one.context_id))
