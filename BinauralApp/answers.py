"""What all answers of the server share: errors in a sentence, the video of a request, headers."""

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from BinauralApp.session import Session
from BinauralApp.sessions import Full, Sessions, TooLarge

POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[Request], Awaitable[Response]]


def told(handler: Handler) -> Handler:
    """A handler whose errors are sentences: {"error": …} with a status that fits."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except Full as error:
            return JSONResponse({"error": str(error)}, 503)
        except TooLarge as error:
            return JSONResponse({"error": str(error)}, 413)
        except FileNotFoundError as error:
            return JSONResponse({"error": str(error)}, 404)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        except ClientDisconnect:
            return Response(status_code=400)

    return guarded


def sessions_of(request: Request) -> Sessions:
    """All videos of the page."""
    return request.app.state.sessions


def session_of(request: Request) -> Session:
    """The video of a request.  Raises FileNotFoundError where it has been deleted."""
    session = sessions_of(request).open.get(request.path_params["id"])
    if session is None:
        raise FileNotFoundError("this video was deleted, as it was left alone for a while; drop it again")
    session.touch()
    return session
