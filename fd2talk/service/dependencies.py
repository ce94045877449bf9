"""FastAPI dependencies of the routes: the service, its event streams, the client, and the check of the query."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from fd2talk.service.errors import Refused, given_twice
from fd2talk.service.events import Followers
from fd2talk.service.guard import CLIENT
from fd2talk.service.service import Service


def service_of(request: Request) -> Service:
    """The service that an application belongs to."""
    found: Service = request.app.state.service
    return found


def check_query(request: Request) -> None:
    """Raises Refused: a parameter of the query is unknown, or repeated."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise Refused(422, "invalid_request", f"{name[:60]}: there is no such parameter")
        if given.count(name) > 1:
            raise given_twice(name)


def followers_of(request: Request) -> Followers:
    """The event streams of an application."""
    found: Followers = request.app.state.followers
    return found


def client_of(request: Request) -> str:
    """Name of the client, who can access only its own videos and uploads."""
    name: str = request.scope[CLIENT]
    return name


ServiceDep = Annotated[Service, Depends(service_of)]
ClientDep = Annotated[str, Depends(client_of)]
FollowersDep = Annotated[Followers, Depends(followers_of)]
