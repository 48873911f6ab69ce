"""What the pages must know of the settings, as one value that may be exchanged."""

from dataclasses import dataclass
from datetime import timedelta, tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """How the node is called and reached, and what its pages show.

    Attributes
    ----------
    title : str
        AE title.
    zone : tzinfo or None
        In which times are shown; None for the machine's.
    is_secure : bool
        Whether browsers come by TLS, to the node or to a proxy before it.
    cookie : str
        Name of the cookie of a session; another one for each port of a machine.
    open_on_loopback : bool
        Whether who sits at this machine may read without log-in.
    shows_patient : bool
        Whether pages name the Patient ID.
    viewer_url : str
        Address of the viewer, with a mark for the study; empty for none.
    longest_session : timedelta
        After which a cookie is worth nothing.
    provider : str
        What the provider of log-ins is called; empty if there is none.
    """

    title: str
    zone: tzinfo | None = None
    is_secure: bool = False
    cookie: str = "ichnode"
    open_on_loopback: bool = False
    shows_patient: bool = False
    viewer_url: str = ""
    longest_session: timedelta = timedelta(hours=12)
    provider: str = ""
