"""The worker's models, loaded anew only when other ones are wanted."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.settings.schema import Settings
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from dicom_node.jobs.worker import Analyst

LOGGER = logging.getLogger(__name__)


class LiveAnalyst:
    """Keeps the analyst whose models are warm.

    Parameters
    ----------
    make
        Loads models.
    layout
        Where the data lie.
    tell
        Is told what is wrong with the models of the settings, nothing once they are loaded.
    """

    def __init__(
        self,
        make: Callable[[Settings, DataLayout], "Analyst"],
        layout: DataLayout,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._make = make
        self._layout = layout
        self._tell = tell
        self._wanted: object = None
        self._analyst: Analyst | None = None

    def of(self, settings: Settings) -> "Analyst":
        """Return the analyst for these settings.

        Models that cannot be loaded leave those before at work; log and health say so.

        Raises
        ------
        PipelineError, OSError, RuntimeError
            If there are none before.
        """
        wanted = (settings.worker, settings.results, settings.follow_up)
        if self._analyst is not None and wanted == self._wanted:
            return self._analyst
        self._wanted = wanted
        try:
            self._analyst = self._make(settings, self._layout)
        except (PipelineError, OSError, RuntimeError) as error:
            self._tell(f"the models of the settings cannot be used: {error}")
            if self._analyst is None:
                raise
            LOGGER.error(  # noqa: TRY400 - the message says it all
                "The models of the settings cannot be used, those before stay at work: %s", error
            )
        else:
            self._tell("")
        return self._analyst
