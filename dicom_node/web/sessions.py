"""How a browser is given its session."""

from fastapi import Response
from fastapi.responses import RedirectResponse

from dicom_node.web.house import House

_SEE_OTHER = 303


def welcome(house: House, secret: str, target: str) -> Response:
    """Give the browser its session and lead it on; a session of before is not taken up."""
    site = house.sources.site()
    answer = RedirectResponse(target, status_code=_SEE_OTHER)
    seconds = int(site.longest_session.total_seconds())
    house.pages.set_cookie(answer, site.cookie, secret, seconds=seconds)
    answer.delete_cookie(house.entry.visit_cookie(), path="/")
    return answer
