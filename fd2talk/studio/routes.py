"""Routes for uploads and files. They replace gradio's, with which every visitor can read every file."""

from __future__ import annotations

import mimetypes
import shutil
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse

from fd2talk.media_checks import check_pixels
from fd2talk.studio.examples import PORTRAITS, SOUNDS, thumbnail
from fd2talk.studio.studio import Studio
from fd2talk.studio.visitors import Visitor
from shared.errors import Fd2TalkError, UsageError

# Media types that a browser may display; everything else is sent as an attachment.
_SHOWN = ("image/jpeg", "image/png", "image/webp", "image/gif", "video/mp4", "video/webm", "audio/")
_STATIC = {"studio.css": "text/css", "studio.js": "text/javascript", "ask.js": "text/javascript"}


def router(studio: Studio) -> APIRouter:
    """The routes of a studio. `Guard` has put the visitor into the request's scope."""
    routes = APIRouter()

    @routes.post("/gradio_api/upload")
    async def upload(request: Request) -> Response:
        """Take files, as gradio's page sends them, into the visitor's folder."""
        visitor: Visitor = request.scope["fd2talk_visitor"]
        paths: list[Path] = []
        try:
            async with request.form(max_files=4, max_fields=4) as form:
                for file in form.getlist("files"):
                    if isinstance(file, UploadFile):
                        paths.append(await run_in_threadpool(_kept, file, visitor, studio))
        except StarletteHTTPException as error:
            return PlainTextResponse(str(error.detail), error.status_code)
        except Fd2TalkError as error:
            visitor.workspace.discard(*paths)
            return PlainTextResponse(str(error), 422)
        if not paths:
            return PlainTextResponse("this is no upload of the page: there is no file in it", 400)
        return JSONResponse([str(path) for path in paths])

    @routes.get("/gradio_api/upload_progress")
    async def upload_progress() -> Response:
        """No progress of uploads is reported; 204 keeps the page from reconnecting."""
        return Response(status_code=204)

    @routes.get("/gradio_api/file={path:path}")
    async def shown_file(path: str, request: Request) -> Response:
        """A file that gradio's page shows, by its absolute path."""
        return _file(path, request)

    @routes.get("/studio/files/{path:path}")
    async def made_file(path: str, request: Request, name: str | None = None) -> Response:
        """A result, by its path in the visitor's folder; with `name` it is saved under that."""
        visitor: Visitor | None = request.scope["fd2talk_visitor"]
        if visitor is None:
            raise HTTPException(404)
        answer = _file(str(visitor.workspace.folder / path), request, name)
        if name is not None:
            studio.downloaded(visitor, visitor.workspace.folder / path)
        return answer

    @routes.post("/studio/forget")
    def forget(request: Request) -> Response:
        """Cancel a visitor's jobs, and remove their files."""
        studio.visitors.forget(request.scope["fd2talk_visitor"])
        return Response(status_code=204)

    @routes.get("/studio/examples/{name}")
    def example(name: str) -> Response:
        """A small picture of a bundled portrait, or a bundled sound."""
        if name in PORTRAITS:
            return Response(thumbnail(name), media_type="image/jpeg", headers={"cache-control": "max-age=86400"})
        if name in SOUNDS:
            return FileResponse(SOUNDS[name].path, media_type="audio/wav")
        raise HTTPException(404)

    @routes.get("/studio/static/{name}")
    def static(name: str) -> Response:
        """Style and script of the page."""
        if name not in _STATIC:
            raise HTTPException(404)
        text = resources.files("fd2talk.studio").joinpath("static").joinpath(name).read_text(encoding="utf-8")
        return Response(text, media_type=_STATIC[name])

    return routes


def _kept(file: UploadFile, visitor: Visitor, studio: Studio) -> Path:
    """Copy an upload to the visitor's folder. Raises Fd2TalkError: it is refused."""
    path = visitor.workspace.of_name(file.filename or "file")
    try:
        with path.open("wb") as to:
            shutil.copyfileobj(file.file, to, 1 << 20)
        check_pixels(path, studio.limits)
    except OSError as error:
        visitor.workspace.discard(path)
        raise Fd2TalkError(f"the file cannot be kept: {error.strerror}") from error
    except Fd2TalkError:
        visitor.workspace.discard(path)
        raise
    return path


def _file(path: str, request: Request, name: str | None = None) -> Response:
    """A file of the visitor's folder, whole or in part (Range). Raises HTTPException 404 for any other path."""
    visitor: Visitor | None = request.scope["fd2talk_visitor"]
    if visitor is None:
        raise HTTPException(404)
    try:
        real = visitor.workspace.owns(path)
    except UsageError:
        raise HTTPException(404) from None
    kind = mimetypes.guess_type(real.name)[0] or "application/octet-stream"
    shown = kind.startswith(_SHOWN) and name is None
    return FileResponse(
        real,
        media_type=kind if kind.startswith(_SHOWN) else "application/octet-stream",
        filename=name or real.name,
        content_disposition_type="inline" if shown else "attachment",
        headers={"content-security-policy": "default-src 'none'; sandbox", "cache-control": "no-store"},
    )
