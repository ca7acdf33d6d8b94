"""Uploads: a video, the sound of one that has none, a listener's head."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from BinauralApp.answers import session_of, sessions_of
from BinauralApp.checks import check_sound, check_video, plain_name
from BinauralApp.sessions import receive
from DiffBinaural.heads.named import head_named

MEGABYTE = 1_000_000
SOFA_LIMIT = 64 * MEGABYTE


async def upload_video(request: Request) -> Response:
    """A video, as the body of the request."""
    sessions = sessions_of(request)
    session = sessions.add(plain_name(request.query_params.get("name", ""), "film.mp4"))
    try:
        limit = sessions.cfg.largest * MEGABYTE
        await receive(request.stream(), session.film, limit, session.film.name)
        has_sound = await asyncio.to_thread(check_video, session.film, sessions.cfg)
    except BaseException as error:  # also where the visitor leaves, or the server ends
        sessions.close(session)
        if isinstance(error, ValueError):
            raise ValueError(session.told(error)) from None
        raise
    if has_sound:
        sessions.make(session, session.first)
    else:
        session.needs_sound = True
        session.error = f"{session.film.name} has no sound; drop its sound here too: a wav, flac, mp3 or m4a"
    return JSONResponse({"id": session.id, "needs_sound": not has_sound})


async def upload_sound(request: Request) -> Response:
    """The sound of a video that has none, as the body of the request."""
    session, sessions = session_of(request), sessions_of(request)
    if not session.needs_sound:
        raise ValueError("this video has its sound already; drop the video again to give it another")
    path = session.folder / "in" / plain_name(request.query_params.get("name", ""), "sound.wav")
    if path == session.film:
        raise ValueError(f"{path.name} is called as the video is; rename it")
    try:
        await receive(request.stream(), path, sessions.cfg.largest * MEGABYTE, path.name)
        await asyncio.to_thread(check_sound, path, sessions.cfg)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    session.sound, session.needs_sound = path, False
    sessions.make(session, session.first)
    return JSONResponse({"id": session.id})


async def upload_head(request: Request) -> Response:
    """A listener's head, a SOFA file, as the body of the request."""
    session = session_of(request)
    path = session.folder / "in" / plain_name(request.query_params.get("name", ""), "head.sofa")
    if path.suffix.lower() != ".sofa":
        raise ValueError(f"{path.name}: expected a .sofa file (SimpleFreeFieldHRIR)")
    try:
        await receive(request.stream(), path, SOFA_LIMIT, path.name)
        await asyncio.to_thread(head_named, str(path))
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, ValueError):
            raise ValueError(session.told(error)) from None
        raise
    session.heads[path.name] = path
    return JSONResponse({"head": path.name})
