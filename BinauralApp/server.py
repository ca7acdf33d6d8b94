"""The page's server: files, JSON over HTTP, nothing else."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from BinauralApp.answers import POLICY, Handler, session_of, sessions_of, told
from BinauralApp.checks import film_name, output_name, plain_name, trajectory_name
from BinauralApp.config import HERE, AppConfig
from BinauralApp.conversion import write_film
from BinauralApp.listening import mel_axis
from BinauralApp.sessions import VOICES, Sessions, TooLarge
from BinauralApp.uploads import MEGABYTE, upload_head, upload_sound, upload_video
from BinauralApp.wanted import wanted_of
from DiffBinaural.heads.named import head_named

FOLDER = Path(__file__).parent
STATIC = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    **{name: (name, "text/javascript") for name in ("page.js", "sound.js", "plan.js", "dom.js")},
}
JSON_LIMIT = 100_000  # bytes of a request


def make_app(cfg: AppConfig) -> Starlette:
    """The page with its sessions; these end with it."""
    sessions = Sessions(cfg)

    @asynccontextmanager
    async def lifespan(app: Starlette):
        sessions.start()
        yield
        await asyncio.to_thread(sessions.end)

    hosts = ["*"] if not cfg.alone else [*HERE, "testserver"]
    here = "/api/sessions/{id}"
    routes = [
        *(Route(f"/{path}", static(*file)) for path, file in STATIC.items()),
        Route("/api/limits", told(limits)),
        Route("/api/voices/{name}", told(voice)),
        Route("/api/example", told(open_example), methods=["POST"]),
        Route("/api/sessions", told(upload_video), methods=["POST"]),
        Route(here, told(state)),
        Route(f"{here}/sound", told(upload_sound), methods=["POST"]),
        Route(f"{here}/head", told(upload_head), methods=["POST"]),
        Route(f"{here}/wanted", told(want), methods=["POST"]),
        Route(f"{here}/close", told(close), methods=["POST"]),
        Route(f"{here}/files/{{name}}", told(file)),
        Route(f"{here}/take/{{what}}", told(take)),
    ]
    app = Starlette(
        routes=routes, lifespan=lifespan, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]
    )
    app.state.sessions = sessions
    return app


def static(name: str, kind: str) -> Handler:
    """One of the page's own files."""

    async def give(request: Request) -> Response:
        return FileResponse(FOLDER / name, media_type=kind, headers=POLICY)

    return give


async def limits(request: Request) -> Response:
    """What the page takes, said before the upload."""
    sessions = sessions_of(request)
    cfg = sessions.cfg
    return JSONResponse(
        {
            "longest": cfg.longest,
            "largest": cfg.largest * MEGABYTE,
            "keep": cfg.keep,
            "alone": cfg.alone,
            "example": sessions.example is not None,
            "voices": sorted(VOICES) if sessions.example is not None else [],
            "ticks": mel_axis(),
        }
    )


async def voice(request: Request) -> Response:
    """A sound of the headphones check."""
    name = request.path_params["name"]
    path = sessions_of(request).voice(name) if name in VOICES else None
    if path is None or not path.is_file():
        raise FileNotFoundError("the voices are not made yet; try again in a moment")
    return FileResponse(path, headers=POLICY)


async def open_example(request: Request) -> Response:
    """The example, as a video of this visitor."""
    return JSONResponse({"id": sessions_of(request).add_example().id})


async def want(request: Request) -> Response:
    """How the video is to be made now, as JSON; see Wanted."""
    session = session_of(request)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > JSON_LIMIT:
            raise TooLarge("too many moves at once; undo some")
    wanted = wanted_of(json.loads(body))
    if wanted.head not in session.heads:
        if wanted.head.lower().endswith(".sofa"):
            raise ValueError(f"{wanted.head} is not here; give the file again")
        head_named(wanted.head)
    if session.found is None:
        raise ValueError("wait until the video has been heard once")
    sessions_of(request).make(session, wanted)
    return JSONResponse({"wanted": asdict(wanted)})


async def state(request: Request) -> Response:
    """How far a video is; what was made of it, where that is not the version that the page has already."""
    session = session_of(request)
    ahead = sessions_of(request).line.ahead(session.id)
    phase, part = session.phase()
    if ahead and not phase:
        phase = f"waiting in line: {ahead} before this one"
    version = session.made["version"] if session.made else 0
    return JSONResponse(
        {
            "name": session.film.name,
            "version": version,
            "busy": ahead is not None,
            "phase": phase,
            "progress": part,
            "error": "" if ahead is not None else session.error,
            "needs_sound": session.needs_sound,
            "first": asdict(session.first),
            "made": None if request.query_params.get("have") == str(version) else session.made,
        },
        headers=POLICY,
    )


async def file(request: Request) -> Response:
    """A film, a sound or a picture, for the page."""
    session, name = session_of(request), request.path_params["name"]
    path = session.film if name == "film" else session.file(plain_name(name, "-"))
    if not path.is_file():
        raise FileNotFoundError(f"{name}: not here any more; reload the page")
    return FileResponse(path, headers=POLICY)


async def take(request: Request) -> Response:
    """The wav, the film or the directions, under the names that the command uses."""
    session, what = session_of(request), request.path_params["what"]
    if session.made is None:
        raise FileNotFoundError("nothing is made yet; wait until it is")
    version, rate = session.made["version"], session.made["rate"]
    wav = session.file(f"made-{version}.wav")
    if what == "wav":
        return FileResponse(wav, filename=output_name(session.film), headers=POLICY)
    if what == "csv":
        path = session.file(f"directions-{version}.csv")
        return FileResponse(path, filename=trajectory_name(session.film), headers=POLICY)
    if what != "film":
        raise FileNotFoundError(f"{what}: expected wav, csv or film")
    path = session.file(f"film-{version}{Path(film_name(session.film)).suffix}")
    if not path.is_file():
        with_name = path.with_name(f".{path.name}")
        await asyncio.to_thread(write_film, session.film, wav, rate, with_name)
        with_name.replace(path)
    if "check" in request.query_params:
        return JSONResponse({"name": film_name(session.film)})
    return FileResponse(path, filename=film_name(session.film), headers=POLICY)


async def close(request: Request) -> Response:
    """Delete a video; the page says so when it is left."""
    sessions_of(request).close(session_of(request))
    return Response(status_code=204)
