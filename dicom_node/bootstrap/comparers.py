"""Whoever compares two scans, put together from the settings."""

from datetime import timedelta
from typing import TYPE_CHECKING

from dicom_node.bootstrap.node_models import fitted_facts
from dicom_node.bootstrap.roles import utc_now
from dicom_node.series_comparison import ComparisonConfiguration, SeriesComparer
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from pipeline.models import Models


def series_comparer(settings: Settings, models: "Models") -> SeriesComparer:
    """Return whoever compares two series with these models as the settings want it."""
    follow_up = settings.follow_up
    return SeriesComparer(
        models,
        clock=utc_now,
        configuration=ComparisonConfiguration(
            with_ventricles=follow_up.with_ventricles,
            window=timedelta(hours=follow_up.window_h),
            with_pdf=settings.results.pdf,
            with_key_objects=settings.results.key_objects,
            fitted=fitted_facts(models.segmentation_card),
        ),
    )
