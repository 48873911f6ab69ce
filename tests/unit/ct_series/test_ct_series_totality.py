"""Every refusal and every doubt can happen: the tables of the pipeline are total."""

from collections.abc import Callable

import numpy as np
import pytest
from ct_builder import Ball, build_ct_series, set_pixels
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from pipeline.ct_series import read_ct_series
from pipeline.errors import SeriesRejectedError
from pipeline.finding_flags import FINDING_FLAGS, assess_forecast, assess_prediction
from pipeline.prediction import HePrediction
from pipeline.quality import assess_mask, assess_volume
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode
from pipeline.volume import HematomaMask, regular_grid

SMALL = (64, 64)


def head(**options) -> list[Dataset]:
    return build_ct_series(shape_yx=SMALL, **options)


def each(series: list[Dataset], **values) -> list[Dataset]:
    """Return the series with values changed in every instance."""
    for ds in series:
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return series


def half_turned() -> list[Dataset]:
    series = head()
    return each(series[:15], ImageOrientationPatient=[1, 0, 0, 0, 0.96, 0.28]) + series[15:]


REFUSED: dict[RejectionCode, Callable[[], list[Dataset]]] = {
    RejectionCode.NO_IMAGES: list,
    RejectionCode.NOT_CT: lambda: each(head(), SOPClassUID=MRImageStorage, Modality="MR"),
    RejectionCode.MIXED_SERIES: lambda: [*head(), *each(head(seed=1), PatientID="OTHER")],
    RejectionCode.NOT_ORIGINAL: lambda: each(head(), ImageType=["ORIGINAL", "PRIMARY", "SCOUT"]),
    RejectionCode.NOT_AXIAL: lambda: each(head(), ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
    RejectionCode.MIXED_ORIENTATION: half_turned,
    RejectionCode.TOO_FEW_SLICES: lambda: head(slices=2),
    RejectionCode.COVERAGE: lambda: head(slices=20, spacing_mm=1),
    RejectionCode.GAP: lambda: head(positions_mm=[*range(-70, 0, 5), *range(20, 71, 5)]),
    RejectionCode.PIXELS: lambda: each(head(), PhotometricInterpretation="RGB"),
    RejectionCode.GEOMETRY_MISSING: lambda: each(head(), ImagePositionPatient=None),
    RejectionCode.HU_MISSING: lambda: each(head(), RescaleSlope=None),
    RejectionCode.NOT_A_HEAD: lambda: head(body_part="CHEST"),
}


@pytest.mark.parametrize("code", RejectionCode)
def test_every_rejection_happens(code):
    """Each code has a series that earns it, with something found and something needed."""
    with pytest.raises(SeriesRejectedError) as error:
        read_ct_series(REFUSED[code]())

    assert error.value.reason.code is code
    assert error.value.reason.found
    assert error.value.reason.needed


def hollow_head() -> list[Dataset]:
    """Return a skull around air, the plastic head of a test laboratory."""
    series = head(balls=[Ball(center_lps_mm=(0, 0, 0), radius_mm=67, hu=-1000)])
    for ds in series:
        stored = np.frombuffer(ds.PixelData, dtype="<u2").reshape(SMALL).astype(float)
        set_pixels(ds, np.where(stored < 1024 + 100, 24, stored))
    return series


FLAGGED: dict[QualityFlag, Callable[[], list[Dataset]]] = {
    QualityFlag.THICK_SLICES: lambda: head(thickness_mm=8),
    QualityFlag.MIXED_THICKNESS: lambda: head(thickness_mm=[5.0] * 10 + [2.5] * 20),
    QualityFlag.UNEVEN_SPACING: lambda: head(
        positions_mm=[*np.arange(-70, 0, 2.5), *np.arange(0, 71, 5.0)]
    ),
    QualityFlag.SLICES_MISSING: lambda: [ds for i, ds in enumerate(head()) if i != 9],
    QualityFlag.DUPLICATE_POSITIONS: lambda: [*head(), *each(head()[:1], SOPInstanceUID="1.2.3")],
    QualityFlag.NON_CT_DROPPED: lambda: (
        each(head()[:1], ImageType=["A", "B", "LOCALIZER"]) + head()[1:]
    ),
    QualityFlag.TILT_CORRECTED: lambda: head(tilt_deg=12),
    QualityFlag.OBLIQUE: lambda: head(row_cosine=(0.96, 0.28, 0), column_cosine=(-0.28, 0.96, 0)),
    QualityFlag.LOSSY_SOURCE: lambda: each(head(), LossyImageCompression="01"),
    QualityFlag.HU_IMPLAUSIBLE: lambda: each(head(), RescaleIntercept="0"),
    QualityFlag.NOT_A_HEAD: hollow_head,
    QualityFlag.CONTRAST_SUSPECTED: lambda: each(head(), ContrastBolusAgent="IOHEXOL"),
}

EDGE_MASK = np.zeros((5, 8, 8), dtype=bool)
EDGE_MASK[0, 3:5, 3:5] = True


@pytest.mark.parametrize("flag", FLAGGED)
def test_every_doubt_about_a_series_happens(flag):
    """Each flag has a series that earns it, and the plain head earns none."""
    assert flag in assess_volume(read_ct_series(FLAGGED[flag]()))
    assert assess_volume(read_ct_series(head())) == frozenset()


def test_every_flag_is_set_by_reader_volume_mask_finding_or_opinion():
    """No flag of the table is out of reach."""
    mask = HematomaMask(voxels_zyx=EDGE_MASK, grid=regular_grid((5, 8, 8), (5.0, 1.0, 1.0)))

    strange = HePrediction(slice_probabilities=(0.4,), threshold=0.5, unfamiliarity=1.1)

    reached = set(FLAGGED) | assess_mask(mask) | FINDING_FLAGS | assess_prediction(strange)
    assert reached | assess_forecast(None) == set(QualityFlag)
