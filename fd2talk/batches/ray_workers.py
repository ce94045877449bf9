"""Jobs shared among the computers of a Ray cluster, by actors of Ray Data; the folder is on all of them.

Ray Data restarts an actor whose process or computer died, elsewhere if need be, and gives its job to it again, as often
as that happens. How often a job may be tried is therefore noted in the folder (`_attempt`).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fd2talk.batches.job import FAILED, Job, Outcome
from fd2talk.batches.local_workers import ATTEMPTS, killed
from fd2talk.batches.maker import Maker, Settings
from shared.errors import Fd2TalkError, UsageError

LOCAL = "local"
"""In the place of an address: a cluster of this computer alone, for this run."""

_MOST_BLOCKS = 10_000
"""Beyond, several jobs are one task of Ray's."""

_SECONDS_TO_ANSWER = 10.0

_STORE_BYTES = 128 * 2**20
"""Memory of a local cluster for what its processes exchange: names of files."""


class Actor:
    """A process of the cluster that makes videos.

    Args:
        settings: of the run.
        environment: variables that the process shall have.
    """

    def __init__(self, settings: Settings, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._settings, self._make = settings, Maker(settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Make the videos of `job`, JSON each; returns `outcome`, likewise."""
        outcomes = [self._one(Job(**json.loads(text))) for text in batch["job"]]
        return {"outcome": [json.dumps(outcome.as_dict()) for outcome in outcomes]}

    def _one(self, job: Job) -> Outcome:
        if made := self._make.made(job):  # its outcome was lost with the process that made it
            return made
        if _attempt(job, self._settings):
            return self._make(job)
        return Outcome.of(job, FAILED, error=killed())


def in_cluster(jobs: Sequence[Job], settings: Settings, workers: int | None, address: str) -> Iterator[Outcome]:
    """Make videos in a Ray cluster.

    Args:
        jobs: what to make.
        settings: of the run; its folder, the inputs and fd2talk are on all computers under the same paths.
        workers: number of actors in the cluster; None: as many as it has cores for.
        address: of the cluster, as `ray.init` takes it, or `local`.

    Yields:
        The outcome of each job, in the order in which they are done.

    Raises:
        UsageError: there is no cluster at this address.
        Fd2TalkError: the cluster failed.
    """
    with _connected(address) as ray:
        cores = ray.cluster_resources().get("CPU", 0)
        if cores < settings.threads:
            raise UsageError(f"no computer of the Ray cluster has {settings.threads} CPU cores for a worker")
        size = min(workers or int(cores // settings.threads), len(jobs))
        rows = [{"job": json.dumps(vars(job), ensure_ascii=False)} for job in jobs]
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MOST_BLOCKS)).map_batches(
            Actor,
            fn_constructor_kwargs={"settings": settings, "environment": _environment()},
            batch_size=1,
            # One job at a time, so that one that waits is not lost with its process, and idle processes are given up:
            # where a computer has gone, another actor, with a job of its own, may wait for their place.
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=size, initial_size=size, max_tasks_in_flight_per_actor=1
            ),
            num_cpus=settings.threads,
            num_gpus=1 if settings.device.startswith("cuda") else 0,
        )
        try:
            for row in data.iter_rows():
                yield Outcome(**json.loads(row["outcome"]))
        except ray.exceptions.RayError as error:
            raise Fd2TalkError(f"the Ray cluster failed: {str(error).strip().splitlines()[0]}") from error


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, quietly, and leave it in the end."""
    import ray
    import ray.data

    if ray.is_initialized():
        raise UsageError("this process is connected to a Ray cluster already")
    _reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    small: dict[str, Any] = {}
    if address == LOCAL:
        small = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    ours = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **small)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)  # Ray takes it, and would end the program without its report
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"cannot connect to the Ray cluster {address}: {reason}") from error
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        yield ray
    finally:
        ray.shutdown()


def _reachable(address: str) -> None:
    """Raise UsageError where nothing listens at HOST:PORT, for which Ray would wait many minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot connect to the Ray cluster {address}: {reason}") from error


def _environment() -> dict[str, str]:
    """Variables of this process that the others need."""
    return {name: os.environ[name] for name in ("FD2TALK_MODELS", "OPENBLAS_NUM_THREADS") if name in os.environ}


def _attempt(job: Job, settings: Settings) -> bool:
    """Note that a job is tried, for whoever tries it after this process. Returns False where that was often enough."""
    for number in range(1, ATTEMPTS + 1):
        try:
            os.close(os.open(settings.parts / f"{job.digest[:16]}.{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            return True
        except FileExistsError:
            continue
    return False
