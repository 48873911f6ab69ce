"""What a site can set about how long data stay in custody."""

from typing import Annotated

from pydantic import Field

from dicom_node.settings.table import SettingsTable

#: 0 stands for good.
Days = Annotated[float, Field(ge=0, le=36500)]


class RetentionSettings(SettingsTable):
    """When images, results and summaries are purged; see `dicom_node.jobs.retention`."""

    enabled: bool = False
    analysed_days: Days = 30.0
    rejected_days: Days = 30.0
    set_aside_days: Days = 7.0
    results_days: Days = 30.0
    summaries_days: Days = 90.0
    keep_committed_days: Days = 365.0
    emergency_free_mb: Annotated[int, Field(ge=0, le=10_000_000)] = 4096
