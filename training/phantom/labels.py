"""The codes of the label volumes that go with simulated scans."""

from enum import IntEnum


class Label(IntEnum):
    """What a voxel is. The values are written to files; never change one."""

    BACKGROUND = 0
    HEMATOMA = 1  #: blood within the brain: what segmentation has to find
    INTRAVENTRICULAR = 2
    EXTRA_AXIAL = 3  #: subdural, epidural or subarachnoid blood
    EDEMA = 4
