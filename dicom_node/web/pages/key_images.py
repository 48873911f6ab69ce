"""Single images of a study: one at a time, as large as somebody wants it."""

from typing import Annotated, Final

from fastapi import HTTPException, Path, Query, Request, Response

from dicom_node.users.role import UserRole
from dicom_node.web.door import visitor_of
from dicom_node.web.house import House
from dicom_node.web.pages.study import images_of, known_study, row_of
from dicom_node.web.source import KeyImage

#: How large an image can be shown, in percent of what fits into the window as a whole.
ZOOMS: Final = (100, 200, 400)

_Job = Annotated[int, Path(ge=1, lt=2**31)]
_Name = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,32}$")]
_Zoom = Annotated[int, Query(ge=1, le=1000)]


def add(house: House) -> None:
    """Add the page of a single image, and the image."""

    @house.door.page("/studies/{study_uid}/images/{job_id}/{name}", UserRole.VIEWER)
    def page(
        request: Request, study_uid: str, job_id: _Job, name: _Name, zoom: _Zoom = 100
    ) -> Response:
        row = row_of(house, known_study(house, study_uid))
        images = [one for one in images_of(house, row).get(job_id, ()) if one.is_here]
        place = _place(images, name)
        house.sources.audit.looked_at(visitor_of(request), study_uid)
        return house.pages.render(
            request,
            "key_image.html",
            study=row,
            job_id=job_id,
            image=images[place],
            number=place + 1,
            count=len(images),
            before=images[place - 1] if place else None,
            after=images[place + 1] if place + 1 < len(images) else None,
            zoom=zoom if zoom in ZOOMS else ZOOMS[0],
            zooms=ZOOMS,
        )

    @house.door.file("/pictures/{job_id}/{name}.png", UserRole.VIEWER)
    def picture(job_id: _Job, name: _Name) -> Response:
        found = house.sources.results.key_picture(job_id, name)
        if found is None:
            raise HTTPException(404, "no such picture")
        return Response(found, media_type="image/png")


def _place(images: list[KeyImage], name: str) -> int:
    """Return where an image stands. Raises HTTPException."""
    for place, one in enumerate(images):
        if one.name == name:
            return place
    raise HTTPException(404, "no such image, or it was purged")
