"""Runs jobs on the computers of a Ray cluster, by actors of Ray Data; the output folder must be shared.

Ray Data restarts an actor whose process or computer died, and repeats its job without limit. Attempts are therefore
counted in the output folder (`_attempt`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from fd2talk.batches.job import FAILED, Job, Outcome
from fd2talk.batches.local_workers import ATTEMPTS, killed
from fd2talk.batches.maker import Maker, Settings
from fd2talk.cluster import connected
from shared.errors import Fd2TalkError, UsageError

_MOST_BLOCKS = 10_000
"""With more jobs, several are one task of Ray."""


class Actor:
    """A process of the cluster that makes videos.

    Args:
        settings: of the run.
        environment: variables to set in the process.
    """

    def __init__(self, settings: Settings, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._settings, self._make = settings, Maker(settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Make the videos of the column `job` (JSON); returns a column `outcome` (JSON)."""
        outcomes = [self._one(Job(**json.loads(text))) for text in batch["job"]]
        return {"outcome": [json.dumps(outcome.as_dict()) for outcome in outcomes]}

    def _one(self, job: Job) -> Outcome:
        if made := self._make.made(job):  # its outcome was lost with its process
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
        address: of the cluster, see `fd2talk.cluster.connected`.

    Yields:
        The outcome of each job, in order of completion.

    Raises:
        UsageError: there is no cluster at this address.
        Fd2TalkError: the cluster failed.
    """
    with connected(address, num_cpus=workers * settings.threads if workers else None) as ray:
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        cores = ray.cluster_resources().get("CPU", 0)
        if cores < settings.threads:
            raise UsageError(f"no computer of the Ray cluster has {settings.threads} CPU cores for a worker")
        size = min(workers or int(cores // settings.threads), len(jobs))
        rows = [{"job": json.dumps(vars(job), ensure_ascii=False)} for job in jobs]
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MOST_BLOCKS)).map_batches(
            Actor,
            fn_constructor_kwargs={"settings": settings, "environment": _environment()},
            batch_size=1,
            # One job in flight per actor, so that a dying process loses no other job, and idle actors are released:
            # after the loss of a computer another actor may wait for their cores.
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


def _environment() -> dict[str, str]:
    """Environment variables to pass on to the actors."""
    return {name: os.environ[name] for name in ("FD2TALK_MODELS", "OPENBLAS_NUM_THREADS") if name in os.environ}


def _attempt(job: Job, settings: Settings) -> bool:
    """Record an attempt of a job in the output folder. Returns False if there were `ATTEMPTS` already."""
    for number in range(1, ATTEMPTS + 1):
        try:
            os.close(os.open(settings.parts / f"{job.digest[:16]}.{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            return True
        except FileExistsError:
            continue
    return False
