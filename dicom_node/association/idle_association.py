"""An association that nobody uses for a while: its threads rest, and its end is noticed.

pynetdicom's two threads look a thousand times a second for something to do. That costs as much
processor time in some seconds as a new association does.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association

#: How often the library looks at the network meanwhile.
_LOOK_S = 0.05

#: Data transfer (PS3.8, table 9-1): the association stands and nothing else was heard.
_STANDS = "Sta6"

#: Patience for the library to answer a peer that wants to end.
_ANSWER_S = 1.0


class IdleAssociation:
    """Lets the threads of an association rest until it is used or ended.

    Meanwhile the library reads what the peer sends, and does not act on it.

    Parameters
    ----------
    association
        Established, opened by the node; nothing is waited for.
    """

    def __init__(self, association: "Association") -> None:
        self._association = association
        self._was_s = association.dul._run_loop_delay  # noqa: SLF001 - the library has no other way
        association._reactor_checkpoint.clear()  # noqa: SLF001 - as above
        association.dul._run_loop_delay = _LOOK_S  # noqa: SLF001 - as above

    @property
    def stands(self) -> bool:
        """Whether the peer has said nothing, and the connection is there."""
        association = self._association
        dul = association.dul
        return (
            association.is_established
            and dul.is_alive()
            and dul.state_machine.current_state == _STANDS
            and dul.to_user_queue.empty()
            and association.dimse.msg_queue.empty()
        )

    def end(self) -> None:
        """Wake the threads; what the peer has said meanwhile is answered."""
        association, stands = self._association, self.stands
        association.dul._run_loop_delay = self._was_s  # noqa: SLF001 - as above
        association.dul._idle_timer.restart()  # noqa: SLF001 - the silence was ours
        association._reactor_checkpoint.set()  # noqa: SLF001 - as above
        if not stands:
            association.join(_ANSWER_S)
