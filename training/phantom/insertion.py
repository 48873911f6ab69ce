"""A simulated hematoma in a real head."""

from pipeline.volume import CtVolume
from training.phantom.host import host_from_volume
from training.phantom.patient import PhantomOptions, SimulatedPatient, simulate_patient


def insert_hematoma(
    volume: CtVolume,
    *,
    seed: int,
    index: int = 1,
    options: PhantomOptions | None = None,
    name: str = "given volume",
) -> SimulatedPatient:
    """Return a patient whose head is the given one and whose hematoma is simulated.

    The head is laid on the template, slightly resized and perhaps mirrored, bleeds where a
    spontaneous hematoma would, and is scanned anew; so slices, pose and noise differ from the
    original, and the truth is known. Thin slices make the best hosts.

    Parameters
    ----------
    volume : CtVolume
        Head CT without a bleeding. A skull-stripped brain gets a simulated skull.
    seed, index : int
        What the hematoma and the scanner are drawn from.
    options : PhantomOptions, optional
        What kind of patient.
    name : str
        What the record calls the anatomy.

    Raises
    ------
    AnatomyError
        If no brain is found in the volume.
    """
    host = host_from_volume(volume, name=name)
    return simulate_patient(seed=seed, index=index, options=options or PhantomOptions(), host=host)
