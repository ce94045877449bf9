"""What addresses take of a request besides its own parameters: the service, and whose request it is."""

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


def known_parameters(request: Request) -> None:
    """Refuse parameters of a query that nobody reads. Raises Refused."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise Refused(422, "invalid_request", f"{name[:60]}: there is no such parameter")
        if given.count(name) > 1:
            raise given_twice(name)


def followers_of(request: Request) -> Followers:
    """Those who follow videos of an application."""
    found: Followers = request.app.state.followers
    return found


def client_of(request: Request) -> str:
    """Whose request it is: videos and uploads are only for the client that sent them."""
    name: str = request.scope[CLIENT]
    return name


Served = Annotated[Service, Depends(service_of)]
Client = Annotated[str, Depends(client_of)]
Following = Annotated[Followers, Depends(followers_of)]
