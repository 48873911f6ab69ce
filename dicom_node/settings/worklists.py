"""What a site can set about worklists of Unified Procedure Steps."""

from typing import Annotated

from pydantic import Field

from dicom_node.settings.table import SettingsTable
from dicom_node.settings.values import FileName, Pattern, PeerName, Seconds, ServiceAddress

#: Value of ``images_from`` that stands for WADO-RS at the worklist's own server.
FROM_THE_SAME_SERVER = "web"


class WorklistSettings(SettingsTable):
    """A UPS-RS server whose workitems the node performs; see `dicom_node.worklist`."""

    name: PeerName
    url: ServiceAddress
    user: Annotated[str, Field(pattern=r"^[^:\x00-\x1f]*$")] = ""
    secret_file: FileName = ""
    secret_variable: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = ""
    trusted: FileName = ""
    codes: tuple[Annotated[str, Field(pattern=r"^[^\x00-\x1f\\]{1,64}$")], ...] = ()
    labels: tuple[Pattern, ...] = ()
    station: Annotated[str, Field(pattern=r"^[^\x00-\x1f\\]{0,16}$")] = ""
    station_scheme: Annotated[str, Field(pattern=r"^[^\x00-\x1f\\]{1,16}$")] = "L"
    images_from: str = ""
    poll_s: Annotated[float, Field(ge=1, le=3600)] = 15.0
    longest_wait_s: Seconds = 600.0
    images_limit_s: Seconds = 3600.0
    at_most: Annotated[int, Field(ge=1, le=1000)] = 10
    connect_timeout_s: Seconds = 10.0
    response_timeout_s: Seconds = 60.0
