"""Serving as a call of a function, which whoever calls it may do more than once."""

import logging

import pytest
from service_client import STUB, helpers_in_path

from fd2talk.service.clients import Clients
from fd2talk.service.guard import LOG
from fd2talk.service.limits import Limits
from fd2talk.service.server import serve


class Enough(Exception):
    pass


def test_the_log_goes_where_standard_error_is_and_only_while_it_serves(tmp_path, capsys):
    """A handler that stays behind writes to what was standard error then, which may be closed."""
    logs = [LOG, *map(logging.getLogger, ("uvicorn", "python_multipart"))]
    before = [([*log.handlers], log.propagate, log.level) for log in logs]

    def ready(address):
        LOG.info("ready at %s", address)
        raise Enough

    for _ in range(2):
        with helpers_in_path(), pytest.raises(Enough):
            limits, clients = Limits(free_bytes=0), Clients.of(None)
            serve(tmp_path / "data", limits, host="127.0.0.1", port=0, clients=clients, engine=STUB, ready=ready)
        assert capsys.readouterr().err.count(" ready at http://127.0.0.1:") == 1
        assert [([*log.handlers], log.propagate, log.level) for log in logs] == before
