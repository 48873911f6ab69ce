"""What a site can set about traces."""

from typing import Annotated

from pydantic import AfterValidator

from dicom_node.settings.table import SettingsTable
from dicom_node.settings.values import FileName
from dicom_node.web_address import web_address

#: Empty for none.
CollectorAddress = Annotated[str, AfterValidator(lambda value: value and web_address(value))]


class TracingSettings(SettingsTable):
    """Where traces go; see `dicom_node.observe.otlp`."""

    otlp_url: CollectorAddress = ""
    secret_file: FileName = ""
    trusted: FileName = ""
