"""The form: one image at a time, two scales and a verdict, on this machine alone."""

from html import escape
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import FastAPI, HTTPException, Request
from fastapi import Path as UrlPart
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from training.synthesis.readers.answers import HIGHEST, LOWEST, Answer, read_answers, record_answer
from training.synthesis.readers.kit import Kind, Kit, read_kit

#: Nobody else is answered, so that a page elsewhere cannot send answers by another name.
LOCAL_HOSTS = ["127.0.0.1", "localhost"]

#: Words at the ends of the scales.
_SCALES = {
    "quality": ("Overall image quality", "sharpness, noise, artefacts", "very poor", "excellent"),
    "authenticity": (
        "Hematoma and surrounding structures",
        "shape, density, plausibility",
        "implausible",
        "fully authentic",
    ),
}

_STYLE = """
body { background: #111; color: #ddd; font: 16px sans-serif; max-width: 60rem; margin: 1rem auto; }
img { background: #000; width: 384px; height: 384px; float: left; margin-right: 2rem; }
fieldset { border: 1px solid #444; margin-bottom: 1rem; }
label { margin-right: 1rem; }
a { color: #8cf; }
button { font-size: 1.1rem; padding: 0.4rem 2rem; }
"""

_Reader = Annotated[str, UrlPart(pattern="^[A-Za-z0-9]+$")]
_Code = Annotated[str, UrlPart(pattern="^[0-9]+$")]


def reader_form(output: Path) -> FastAPI:
    """Return the application that shows a kit and keeps the answers.

    It reads the readers' folder alone; the key is never opened.

    Parameters
    ----------
    output : Path
        Folder of the study, as `make_kit` wrote it.

    Raises
    ------
    ValueError
        If there is no kit.
    """
    kit = read_kit(output)
    app = FastAPI(title="Reader study", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS)
    _add_way(app, kit, output)
    _add_questions(app, kit, output)
    return app


def _add_way(app: FastAPI, kit: Kit, output: Path) -> None:
    """Add the pages that lead a reader through the images."""

    @app.get("/")
    def choose() -> HTMLResponse:
        links = "".join(f'<p><a href="/{name}">Reader {name}</a></p>' for name in kit.orders)
        return _page("Reader study", links)

    @app.get("/{reader}")
    def go_on(reader: _Reader) -> RedirectResponse:
        codes = _codes(kit, reader)
        done = read_answers(output, reader)
        waiting = [code for code in codes if code not in done]
        return RedirectResponse(f"/{reader}/{waiting[0] if waiting else 'done'}")

    @app.get("/{reader}/done")
    def finished(reader: _Reader) -> HTMLResponse:
        count = len(read_answers(output, reader))
        total = len(_codes(kit, reader))
        return _page("Thank you", f"<p>Reader {escape(reader)}: {count} of {total} images.</p>")


def _add_questions(app: FastAPI, kit: Kit, output: Path) -> None:
    """Add the question for each image, its picture, and the keeping of the answer."""

    @app.get("/{reader}/{code}")
    def ask(reader: _Reader, code: _Code) -> HTMLResponse:
        codes = _codes(kit, reader)
        place = _place(codes, code)
        return _question(reader, codes, place, read_answers(output, reader).get(code))

    @app.post("/{reader}/{code}")
    async def keep(reader: _Reader, code: _Code, request: Request) -> RedirectResponse:
        codes = _codes(kit, reader)
        _place(codes, code)
        _require_own_page(request)
        fields = parse_qs((await request.body()).decode("ascii", errors="replace"))
        try:
            answer = Answer(
                code=code,
                quality=int(fields["quality"][0]),
                authenticity=int(fields["authenticity"][0]),
                verdict=Kind(fields["verdict"][0]),
            )
        except (KeyError, ValueError) as error:
            raise HTTPException(422, "Grade both scales and decide: real or synthetic") from error
        record_answer(output, reader, answer)
        return RedirectResponse(f"/{reader}", status_code=303)

    @app.get("/{reader}/{code}/image.png")
    def picture(reader: _Reader, code: _Code) -> FileResponse:
        _place(_codes(kit, reader), code)
        return FileResponse(kit.image(code), media_type="image/png")


def _codes(kit: Kit, reader: str) -> tuple[str, ...]:
    if reader not in kit.orders:
        raise HTTPException(404, "No such reader")
    return kit.orders[reader]


def _place(codes: tuple[str, ...], code: str) -> int:
    if code not in codes:
        raise HTTPException(404, "No such image")
    return codes.index(code)


def _require_own_page(request: Request) -> None:
    """Refuse a form that a page of somebody else has sent."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}":
        raise HTTPException(403, "Answers come from this form alone")


def _question(
    reader: str, codes: tuple[str, ...], place: int, given: Answer | None
) -> HTMLResponse:
    code = codes[place]
    scales = "".join(
        _choices(
            f"{title} <small>({what}; {LOWEST} {low}, {HIGHEST} {high})</small>",
            name,
            [str(grade) for grade in range(LOWEST, HIGHEST + 1)],
            None if given is None else str(getattr(given, name)),
        )
        for name, (title, what, low, high) in _SCALES.items()
    )
    verdict = _choices(
        "This image is", "verdict", list(Kind), None if given is None else given.verdict
    )
    before = (
        f'<p><a href="/{reader}/{codes[place - 1]}">Back to the image before</a></p>'
        if place
        else ""
    )
    body = (
        f'<img src="/{reader}/{code}/image.png" alt="Image {code}">'
        f'<form method="post" action="/{reader}/{code}">{scales}{verdict}'
        f"<button>Next</button></form>{before}"
    )
    return _page(f"Reader {reader}, image {place + 1} of {len(codes)}, code {code}", body)


def _choices(title: str, name: str, values: list[str], chosen: str | None) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="{name}" value="{value}" required'
        f"{' checked' if value == chosen else ''}> {value}</label>"
        for value in values
    )
    return f"<fieldset><legend>{title}</legend>{buttons}</fieldset>"


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}"
        "<p>RESEARCH USE ONLY</p></body></html>"
    )
