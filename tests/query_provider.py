"""A Query/Retrieve provider for tests: a PACS with a few images, and with faults to order."""

import threading
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]

PENDING, SUCCESS = 0xFF00, 0x0000

_RANGES = ("StudyDate", "StudyTime")


def _is_within(wanted, value):
    """Return whether a value is the one asked for, or lies in the range (PS3.4, C.2.2.2.5)."""
    first, dash, last = (wanted or "").partition("-")
    return not wanted or first <= value <= (last if dash else first)


class QueryProvider:
    """Answers C-FIND, C-MOVE and C-GET in the Study Root model over a list of images.

    Attributes
    ----------
    images : list of Dataset
        What it has.
    services : list of str
        SOP classes that it offers.
    find_status : int
        What C-FIND ends with.
    ignores_keys : bool
        Whether it answers with everything it has, whatever is asked.
    destinations : dict of str to (host, port)
        Move destinations it knows.
    answers : threading.Event
        While clear, no request is answered.
    asked : list of Dataset
        Identifiers of the queries that came.
    """

    def __init__(self, images, *, services=(FIND, MOVE, GET)):
        self.images = list(images)
        self.services = list(services)
        self.find_status = SUCCESS
        self.ignores_keys = False
        self.destinations = {}
        self.answers = threading.Event()
        self.answers.set()
        self.asked = []

    @contextmanager
    def listening(self):
        """Serve on a free port of the loopback address; yields the port."""
        entity = AE(ae_title="PACS")
        for service in self.services:
            entity.add_supported_context(service, SYNTAXES)
        entity.add_supported_context(CTImageStorage, SYNTAXES, scu_role=True, scp_role=True)
        entity.add_requested_context(CTImageStorage, SYNTAXES)
        server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_MOVE, self._move),
                (evt.EVT_C_GET, self._get),
            ],
        )
        try:
            yield server.server_address[1]
        finally:
            self.answers.set()
            server.shutdown()

    def _find(self, event):
        self.answers.wait(60)
        keys = event.identifier
        self.asked.append(keys)
        level = keys.QueryRetrieveLevel
        name = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}[level]
        for one in {image[name].value: image for image in self.images}.values():
            if self.ignores_keys or self._fits(one, keys):
                yield PENDING, self._answer(one, keys)
        if self.find_status != SUCCESS:
            yield self.find_status, None

    def _fits(self, image, keys):
        if keys.QueryRetrieveLevel == "SERIES":
            modality = keys.get("Modality") or image.Modality
            is_of_study = image.StudyInstanceUID == keys.StudyInstanceUID
            return is_of_study and image.Modality == modality
        for name in ("PatientID", "StudyInstanceUID", "AccessionNumber"):
            if keys.get(name) and keys[name].value != image.get(name):
                return False
        return all(_is_within(keys.get(name), image.get(name)) for name in _RANGES)

    def _answer(self, image, keys):
        answer = Dataset()
        answer.QueryRetrieveLevel = keys.QueryRetrieveLevel
        for element in keys:
            if element.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet"):
                continue
            if element.keyword == "ModalitiesInStudy":
                answer.ModalitiesInStudy = ["CT", "SR"]
            elif element.keyword == "NumberOfSeriesRelatedInstances":
                answer.NumberOfSeriesRelatedInstances = len(self._of_series(image))
            else:
                setattr(answer, element.keyword, image.get(element.keyword))
        return answer

    def _of_series(self, image):
        return [one for one in self.images if one.SeriesInstanceUID == image.SeriesInstanceUID]

    def _wanted(self, keys):
        return [one for one in self.images if one.SeriesInstanceUID == keys.SeriesInstanceUID]

    def _move(self, event):
        self.answers.wait(60)
        host, port = self.destinations.get(event.move_destination, (None, None))
        yield host, port
        if host is None:
            return
        yield from self._send(event)

    def _get(self, event):
        self.answers.wait(60)
        yield from self._send(event)

    def _send(self, event):
        wanted = self._wanted(event.identifier)
        yield len(wanted)
        for image in wanted:
            yield PENDING, image
