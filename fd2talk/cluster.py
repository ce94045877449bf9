"""Work on many machines: a cluster of Ray (extra `cluster`)."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from itertools import islice
from typing import Any

from fd2talk.processes import in_processes
from fd2talk.progress import progress
from fd2talk.terminal import redirect_to_nowhere
from shared.errors import Fd2TalkError, UsageError

LOCAL = "local"
"""The address for a cluster on this machine that ends with the command."""

Run = Callable[..., list]
"""As `in_processes`, without `workers`."""

_CONNECT_SECONDS = 10.0
# Retries of a task whose machine or process dies; after these the job is considered the cause.
_RETRIES = 3
# Tasks per processor in Ray's queue: enough to keep it busy, few enough for a million jobs.
_AHEAD = 2
_STORE_BYTES = 200_000_000  # of shared memory for results, which are small
# Environment variables to pass on to the workers.
_ENVIRONMENT = ("FD2TALK_MODELS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def spread(address: str | None, workers: int | None) -> Iterator[Run]:
    """Yield a function that runs jobs: in processes of this machine, or as tasks of a Ray cluster.

    Args:
        address: of the cluster (see `connected`); None for processes of this machine.
        workers: number of jobs at a time; None for one per CPU core.

    Raises:
        UsageError: as `connected`.
    """
    if address is None:
        yield partial(in_processes, workers=workers)
        return
    with connected(address, num_cpus=workers) as ray:
        yield partial(_on_cluster, ray, workers)


@contextmanager
def connected(address: str, *, num_cpus: int | None = None, store_bytes: int = _STORE_BYTES) -> Iterator[Any]:
    """Connect this process to a Ray cluster while the block runs.

    Standard output is discarded meanwhile, as Ray prints messages about lost machines there, from a thread.

    Args:
        address: `local` for a cluster on this machine that ends with the block, `auto` for the one that this machine
            belongs to, or HOST:PORT of its head node.
        num_cpus: of a local cluster; None for all.
        store_bytes: of shared memory for objects, of a local cluster.

    Yields:
        The module `ray`.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at the address.
    """
    ray = _ray()
    if ray.is_initialized():
        raise UsageError("this process is connected to a Ray cluster already")
    settings: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == LOCAL:
        settings |= {"num_cpus": num_cpus, "object_store_memory": store_bytes, "include_dashboard": False}
    else:
        require_address(address)
    with redirect_stdout(open(os.devnull, "w")):  # noqa: SIM115 - that thread may print a moment later
        try:
            with _signals_kept():
                ray.init(address=address, **settings)
        except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
            raise UsageError(f"no Ray cluster at {address}: {' '.join(str(error).split())[:160]}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Handle SIGTERM after the block as before: Ray makes it an exit by another code."""
    handled = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is not handled:
        signal.signal(signal.SIGTERM, handled)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics are sent
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # avoids a warning about future versions
    try:
        with _signals_kept():
            import ray
    except ImportError as error:
        raise UsageError("--address needs Ray: pip install 'fd2talk[cluster]'") from error
    return ray


def require_address(address: str) -> None:
    """Raise UsageError unless something listens at HOST:PORT: Ray itself would wait for minutes."""
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{address} is no address of a Ray cluster: give local, auto or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(f"no Ray cluster at {address}: {error.strerror or error}") from error


def _on_cluster(
    ray: Any,
    workers: int | None,
    work: Callable,
    jobs: Iterable[tuple],
    what: str,
    unit: str,
    failed: Callable[[int, Fd2TalkError], None] | None = None,
) -> list:
    """As `in_processes`, with tasks of a cluster.

    A job whose machine or process dies is retried elsewhere, `_RETRIES` times. Arguments and results are sent between
    machines, files are not: paths must be the same on all of them.
    """
    jobs = list(jobs)
    results: list = [None] * len(jobs)
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_job)
    waiting = iter(enumerate(jobs))
    running: dict[Any, int] = {}
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with progress(len(jobs), what, unit) as bar:
        while True:
            room = (workers or _AHEAD * max(int(ray.cluster_resources().get("CPU", 1)), 1)) - len(running)
            for index, job in islice(waiting, max(room, 0)):
                running[task.remote(work, job, environment)] = index
            if not running:
                return results
            done, _ = ray.wait(list(running), timeout=10)
            for reference in done:
                index = running.pop(reference)
                results[index], error = _outcome(ray, reference, jobs[index], unit)
                if error:
                    bar.tell(f"left out: {error}")
                    if failed:
                        failed(index, error)
                bar.update()


def _outcome(ray: Any, reference: Any, job: tuple, unit: str) -> tuple[Any, Fd2TalkError | None]:
    """The result of a task, or its error."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImportError):
            raise UsageError(f"every machine of the cluster needs this version of fd2talk ({error.cause})") from error
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        name = next((part for part in job if isinstance(part, str)), f"a {unit}")
        why = f"the process that worked on it died {_RETRIES + 1} times, the last time by {type(error).__name__}"
        return None, Fd2TalkError(f"{name}: {why}")
    except ray.exceptions.RayError as error:
        raise Fd2TalkError(f"the Ray cluster failed: {str(error).strip().splitlines()[0]}") from error


_prepared = False


def _job(work: Callable, job: tuple, environment: dict[str, str]) -> tuple[Any, Fd2TalkError | None]:
    """Run one job in a worker of the cluster."""
    global _prepared
    if not _prepared:
        os.environ.update(environment)
        import cv2
        import torch

        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        redirect_to_nowhere(2)  # the face tracker's native code prints notices there
        _prepared = True
    try:
        return work(*job), None
    except Fd2TalkError as error:
        return None, Fd2TalkError(str(error))
