"""Whether videos are being made."""

from __future__ import annotations

from fd2talk.service.schemas import Health
from fd2talk.service.service import Service


def health_of(service: Service) -> tuple[int, Health]:
    """The HTTP status and body of `/health`.

    The status is 503 while no worker can make videos, or the service is being stopped. While only some workers can, it
    is 200 with `degraded`.
    """
    with service.database.reading() as connection:
        counts = dict(connection.execute("SELECT status, count(*) FROM videos GROUP BY status").fetchall())
    troubles = service.troubles()
    found = Health(
        status="ok", reason=None, queued=counts.get("queued", 0), in_progress=counts.get("in_progress", 0),
        workers=len(troubles), workers_up=troubles.count(None),
    )  # fmt: skip
    if service.stopping.is_set():
        return 503, found.model_copy(update={"status": "stopping", "reason": "the service is being stopped"})
    if found.workers_up == found.workers:
        return 200, found
    reason = next(trouble for trouble in troubles if trouble is not None)
    return 200 if found.workers_up else 503, found.model_copy(update={"status": "degraded", "reason": reason})
