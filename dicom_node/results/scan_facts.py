"""Which equipment made a scan, for the watch: no attribute of the patient."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from pydicom.dataset import Dataset

from pipeline.ct_series.multiframe import headers_of
from pipeline.volume import CtVolume

#: Longest text that is kept: an attribute of equipment has 64 characters at most (PS3.5, section
#: 6.2, VR LO), and whatever is longer is none.
_LONGEST = 64

_DECIMALS = 3


def scan_facts(source: Sequence[Dataset], volume: CtVolume) -> dict[str, Any]:
    """Return what the images say of the equipment, as JSON values.

    Parameters
    ----------
    source : sequence of Dataset
        Images of one series.
    volume : CtVolume
        What was read from them.

    Returns
    -------
    dict
        `slice_thickness_mm`, the median over the slices, or None; `manufacturer`, `model_name`
        and `kernel` in capitals as the first image names them, or None. Several kernels are
        joined by backslashes.
    """
    first = headers_of(source[0])[0]
    known = volume.slice_thickness_mm
    texts = {
        "manufacturer": "Manufacturer",
        "model_name": "ManufacturerModelName",
        "kernel": "ConvolutionKernel",
    }
    return {
        "slice_thickness_mm": round(float(median(known)), _DECIMALS) if known else None,
        **{name: first.text(keyword)[:_LONGEST] or None for name, keyword in texts.items()},
    }
