"""The HTTP routes of the service, as an application of FastAPI."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Match

from fd2talk import __version__
from fd2talk.service.clients import Clients
from fd2talk.service.dependencies import ClientDep, FollowersDep, ServiceDep, check_query
from fd2talk.service.errors import Refused, error_body, refusal
from fd2talk.service.events import EVENT_SCHEMA, Followers
from fd2talk.service.form import Form, receive_form, receive_json
from fd2talk.service.guard import Guard
from fd2talk.service.health import health_of
from fd2talk.service.metrics import Metrics
from fd2talk.service.options import FILE_SCHEMA, FILES, VideoRequest, checked, form_schema, from_form, sentence_of
from fd2talk.service.page import page
from fd2talk.service.schemas import Deleted, ErrorBody, Health, Upload, Video, VideoList
from fd2talk.service.service import Service

_DESCRIPTION = """\
Videos of a photo that speaks. Post a photo and a recording, wait until the video is `completed`, and get its content.
Every answer with a status of 400 and above is `{"error": {"code": ..., "message": ...}}`."""
_STATUSES = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "The request comes from another site's page, or its `Host` is not the service's.",
    404: "It does not exist, or has been removed.",
    408: "The request arrived too slowly.",
    409: "It is not complete, or it has failed.",
    413: "The request or one of its files is too large.",
    415: "The body is neither a form nor JSON.",
    416: "The file has no such range of bytes.",
    422: "Something in the request is missing or wrong.",
    429: "Too many videos are queued; `Retry-After` says when to try again.",
    503: "The service is being stopped, or is too busy.",
    507: "The disk is full.",
}
Omitted = SkipJsonSchema[None]
"""The type of an optional parameter that was not sent: None in Python, while the schema does not allow null."""
VideoId = Annotated[str, Path(description="Id of a video.")]
IdempotencyKey = Annotated[
    Annotated[str, Field(min_length=1, max_length=200, pattern="^[!-~]+$")] | Omitted,
    Header(
        alias="Idempotency-Key",
        description="Any text; the same request under the same key queues nothing more and is answered with its video.",
    ),
]


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ErrorBody, "description": _STATUSES[status]} for status in (*statuses, 401, 403, 422, 503)
    }


router = APIRouter(dependencies=[Depends(check_query)])


@router.post(
    "/v1/videos",
    status_code=202,
    response_model=Video,
    responses=_errors(400, 404, 408, 409, 413, 415, 429, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": VideoRequest.model_json_schema()},
                "multipart/form-data": {"schema": form_schema()},
            },
        }
    },
)
async def create_video(
    request: Request, response: Response, service: ServiceDep, client: ClientDep, idempotency_key: IdempotencyKey = None
) -> Video:
    """Queue a video, from a photo and a recording in a form, or from uploads by their ids."""
    if service.stopping.is_set():
        raise Refused(503, "stopping", "the service is being stopped", {"Retry-After": "30"})
    await run_in_threadpool(service.videos.check_room, service.limits.waiting, idempotency_key, client)
    with Form() as form:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            await receive_form(request, form, service.folders, FILES, service.limits.upload_bytes)
            options = checked(from_form(form.values), form.files)
        elif kind == "application/json":
            options = checked(await receive_json(request))
        else:
            raise Refused(415, "unsupported_media_type", "send multipart/form-data, or application/json")
        video, new = await run_in_threadpool(service.add_video, options, form, idempotency_key, client)
    if not new:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/v1/videos/{video.id}"
    return Video.of(video)


@router.get("/v1/videos", response_model=VideoList, responses=_errors())
def list_videos(
    service: ServiceDep,
    client: ClientDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Videos of a page.")] = 20,
    after: Annotated[
        Annotated[str, Field(pattern="^(video_[0-9a-f]{32})?$")] | Omitted,
        Query(description="Id of the last video of the page before: its `last_id`."),
    ] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="Oldest first, or newest first.")] = "desc",
    status: Annotated[
        Literal["queued", "in_progress", "completed", "failed"] | Omitted,
        Query(description="Only videos of this status."),
    ] = None,
) -> VideoList:
    """List videos, page by page."""
    found = service.videos.page(limit, after or None, ascending=order == "asc", status=status, client=client)
    return VideoList.of(*found)


@router.get("/v1/videos/{video_id}", response_model=Video, responses=_errors(404))
def get_video(service: ServiceDep, client: ClientDep, video_id: VideoId) -> Video:
    """Say how far a video is."""
    return Video.of(service.video(video_id, client))


@router.get(
    "/v1/videos/{video_id}/content",
    response_class=FileResponse,
    responses={
        200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "A range of it.", "content": {"video/mp4": {}, "multipart/byteranges": {}}},
        304: {"description": "It has the ETag that `If-None-Match` names."},
        **_errors(400, 404, 409, 416),
    },
)
def get_content(request: Request, service: ServiceDep, client: ClientDep, video_id: VideoId) -> Response:
    """Get the video: MP4, whole or a range of bytes. It never changes; its ETag is its SHA-256."""
    video, path = service.result(video_id, client)
    try:
        info = os.stat(path)
    except FileNotFoundError:  # it expires just now
        raise refusal(404) from None
    headers = {"ETag": f'"{video.sha256}"', "Cache-Control": "private, immutable, max-age=3600"}
    tags = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if tags & {headers["ETag"], "*"}:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type="video/mp4", filename=f"{video.id}.mp4", stat_result=info, headers=headers)


@router.get(
    "/v1/videos/{video_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"itemSchema": EVENT_SCHEMA}}}, **_errors(404)},
)
def get_events(service: ServiceDep, client: ClientDep, followers: FollowersDep, video_id: VideoId) -> Response:
    """Follow a video: server-sent events `queued`, `in_progress`, `completed`, `failed` and `deleted`.

    The data of each event is the video as `GET /v1/videos/{video_id}` has it. The stream ends with the video, or after
    an hour, when a client may come back.
    """
    service.video(video_id, client)
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(followers.events(video_id), media_type="text/event-stream", headers=headers)


@router.delete("/v1/videos/{video_id}", response_model=Deleted, responses=_errors(404))
def delete_video(service: ServiceDep, client: ClientDep, video_id: VideoId) -> Deleted:
    """Remove a video; one that waits or is being made is cancelled."""
    service.delete_video(video_id, client)
    return Deleted(id=video_id, object="video.deleted")


@router.post(
    "/v1/uploads",
    status_code=201,
    response_model=Upload,
    responses=_errors(400, 408, 413, 415, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"file": FILE_SCHEMA},
                        "required": ["file"],
                        "additionalProperties": False,
                    }
                }
            },
        }
    },
)
async def create_upload(request: Request, service: ServiceDep, client: ClientDep) -> Upload:
    """Upload a file for several videos: a photo, a recording, a clip for its style or its motion."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Refused(415, "unsupported_media_type", "send multipart/form-data with a file called `file`")
    with Form() as form:
        await receive_form(request, form, service.folders, ("file",), service.limits.upload_bytes)
        return Upload.of(await run_in_threadpool(service.add_upload, form, client))


@router.delete("/v1/uploads/{upload_id}", response_model=Deleted, responses=_errors(404))
def delete_upload(
    service: ServiceDep, client: ClientDep, upload_id: Annotated[str, Path(description="Id of an upload.")]
) -> Deleted:
    """Remove an upload; videos that were queued with it are made all the same."""
    service.delete_upload(upload_id, client)
    return Deleted(id=upload_id, object="upload.deleted")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_errors()},
)
def get_metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


public = APIRouter()


@public.get("/health", response_model=Health, responses={503: {"model": Health, "description": "No videos are made."}})
def get_health(service: ServiceDep, response: Response) -> Health:
    """Say whether videos are being made; needs no token.

    It is `degraded` with a status of 200 while some of several processes cannot make any, and with 503 when none can.
    """
    response.status_code, found = health_of(service)
    return found


@public.get("/", include_in_schema=False)
def first_page() -> Response:
    """Redirect to the documentation page."""
    return RedirectResponse("/docs")


@public.get("/docs", include_in_schema=False)
def read_page(request: Request) -> Response:
    """The documentation of all routes, as HTML."""
    return HTMLResponse(page(request.app.openapi()))


def _add_head_routes() -> None:
    """Add HEAD to every GET route but the event stream, whose answer does not end by itself."""
    for part in (router, public):
        for route in [*part.routes]:
            if isinstance(route, APIRoute) and route.methods == {"GET"} and route.endpoint is not get_events:
                part.add_api_route(
                    route.path, route.endpoint, methods=["HEAD"], include_in_schema=False, response_model=None
                )


_add_head_routes()


def application(service: Service, clients: Clients) -> Guard:
    """Make the application.

    Args:
        service: what it serves.
        clients: who may use it.
    """
    app = FastAPI(
        title="fd2talk", version=str(__version__), description=_DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    bearer = HTTPBearer(auto_error=False, description="A token that the service was started with.")
    app.include_router(router, dependencies=[Depends(bearer)] if clients.tokens else [])
    app.include_router(public)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    describe = app.openapi
    app.openapi = lambda: _without_unused_schemas(describe())  # type: ignore[method-assign]
    app.state.service, app.state.metrics, app.state.followers = service, Metrics(service), Followers(service)
    return Guard(app, service.limits, clients, app.state.metrics)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return Response(error_body(error.code, error.message), error.status, error.headers, media_type="application/json")


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known, headers = refusal(error.status_code), dict(error.headers or {})
    if known.status == 405:  # each route knows its own method only
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return Response(error_body(known.code, known.message), known.status, headers, media_type="application/json")


def _methods(request: Request) -> set[str]:
    """The methods that the routes of this path have."""
    routes = (*router.routes, *public.routes)
    here = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in here for method in getattr(route, "methods", None) or ()}


def _without_unused_schemas(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without FastAPI's own shape of validation errors, which this service never answers with."""
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    for methods in schema["paths"].values():
        for operation in methods.values():
            answer = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(answer):
                del operation["responses"]["422"]
    return schema


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    body = {"error": {"code": "invalid_request", "message": sentence_of(error.errors())}}
    return JSONResponse(body, 422)
