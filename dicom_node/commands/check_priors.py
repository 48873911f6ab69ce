"""What ``ichnode check`` says about peers that shall give earlier scans."""

from collections.abc import Iterator

from dicom_node.association.query import offers_retrieval
from dicom_node.bootstrap import parts
from dicom_node.errors import PeerError, QueryRefusedError
from dicom_node.settings.schema import PeerSettings, PriorsBy, Settings
from dicom_node.settings.values import ANY_CALLER


def prior_findings(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Return subject, whether it is good, and words, for each peer that is searched."""
    for peer in settings.prior_sources:
        subject = f"priors of {peer.name}"
        try:
            offers_retrieval(parts.peer_of(settings, peer), by_move=_by_move(peer))
        except (PeerError, QueryRefusedError) as error:
            yield subject, False, str(error)
            continue
        if _by_move(peer) and not _may_call(settings, peer):
            yield (
                subject,
                False,
                f"{peer.ae_title} is not among node.callers: what C-MOVE sends would be refused",
            )
            continue
        way = "C-MOVE to this node" if _by_move(peer) else "C-GET"
        yield subject, True, f"{peer.name} offers C-FIND and {way}"


def _by_move(peer: PeerSettings) -> bool:
    return peer.gives_priors is PriorsBy.MOVE


def _may_call(settings: Settings, peer: PeerSettings) -> bool:
    titles = {
        entry if isinstance(entry, str) else entry.ae_title for entry in settings.node.callers
    }
    return bool(titles & {peer.ae_title, ANY_CALLER})
