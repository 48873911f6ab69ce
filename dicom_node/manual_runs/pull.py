"""Has a peer send the head CT of a study that somebody names."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dicom_node.association.peers import Peer
from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.association.study_query import FoundSeries, StudyWish
from dicom_node.errors import QueryRefusedError
from dicom_node.intake.selection import SelectionRules
from dicom_node.manual_runs.offer import Offer, judge
from dicom_node.manual_runs.standing import Standings


class Find(Protocol):
    """Whatever asks a peer; `dicom_node.association.study_query.find_studies`."""

    def __call__(
        self, peer: Peer, wish: StudyWish, *, stop: threading.Event
    ) -> tuple[FoundSeries, ...]:
        """Return every series of what is asked for. May raise NodeError."""


class Fetch(Protocol):
    """Whatever has one peer send series into custody."""

    def __call__(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> tuple[Retrieval, ...]:
        """Return what became of each. May raise NodeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """Looks, and fetches.

    Attributes
    ----------
    peer : Peer
        Who is asked.
    find, fetch : Find, Fetch
        How.
    standings : Standings
        Knows what is here.
    rules : SelectionRules
        What the site analyses.
    """

    peer: Peer
    find: Find
    fetch: Fetch
    standings: Standings
    rules: SelectionRules

    def look(self, wish: StudyWish, *, stop: threading.Event) -> Offer:
        """Return what the peer has, and what of it is wanted.

        Raises
        ------
        PeerError, QueryRefusedError
            If it does not answer as it should, or has nothing of the kind.
        """
        found = self.find(self.peer, wish, stop=stop)
        if not found:
            raise QueryRefusedError(f"{self.peer.name} has nothing of {wish.words}")
        studies = {one.series.study_instance_uid for one in found}
        return judge(found, self.rules, images_here=self.standings.images(studies))

    def bring(self, offer: Offer, *, stop: threading.Event) -> tuple[Retrieval, ...]:
        """Fetch what is wanted; return what became of each series.

        Raises
        ------
        PeerError, QueryRefusedError
            If the peer does not send.
        """
        return self.fetch(offer.wanted, stop=stop) if offer.wanted else ()


def advice(done: Sequence[Retrieval], *, node_title: str, peer_title: str) -> str:
    """Return what somebody should look at if images did not come; empty if all did."""
    faults = "; ".join(dict.fromkeys(one.message for one in done if one.message))
    failed = sum(one.failed for one in done)
    if not faults and not failed:
        return ""
    words = faults or f"{failed} images did not come"
    if "move destination" in words:
        return f"{words}: enter {node_title} there with this node's host and port, or use C-GET"
    if failed:
        words += (
            f"; {failed} images did not come: may {peer_title} call the node (node.callers), and "
            "does it know the node's right host and port?"
        )
    return words
