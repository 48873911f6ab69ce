"""From CT instances to a CT volume: the only place of the pipeline that reads data sets."""

from pipeline.ct_series.decoded_images import DecodedImages
from pipeline.ct_series.series import read_ct_series

__all__ = ["DecodedImages", "read_ct_series"]
