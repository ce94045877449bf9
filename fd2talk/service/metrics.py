"""Metrics for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fd2talk.service.service import Service
from fd2talk.service.videos import STATUSES

_METHODS = {"GET", "HEAD", "POST", "DELETE"}
# Totals of the database: the name and description of each metric.
_TOTALS = {
    "completed": ("fd2talk_videos_completed", "Videos that were completed."),
    "failed": ("fd2talk_videos_failed", "Videos that have failed."),
    "cancelled": ("fd2talk_videos_cancelled", "Videos that were deleted before they were finished."),
    "crashes": ("fd2talk_worker_crashes", "Times that a process that makes videos ended in the middle of one."),
    "interruptions": ("fd2talk_interruptions", "Videos that a hard end of the service interrupted."),
    "video_seconds": ("fd2talk_video_seconds", "Seconds of video that were made."),
    "work_seconds": ("fd2talk_work_seconds", "Seconds that this took."),
}


class Metrics:
    """Counts requests, and reads all other metrics from the database on each scrape; totals survive a restart.

    Args:
        service: whose database.
    """

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Tables(service))
        self._requests = Counter(
            "fd2talk_http_requests", "Requests.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "fd2talk_http_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ("route",),
            registry=self.registry,
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its path template, without ids, so that there are few labels."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class _Tables(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        with self._service.database.reading() as connection:
            counts = dict(connection.execute("SELECT status, count(*) FROM videos GROUP BY status").fetchall())
            oldest = connection.execute("SELECT min(created) FROM videos WHERE status = 'queued'").fetchone()[0]
            totals = dict(connection.execute("SELECT name, value FROM totals").fetchall())
        family = GaugeMetricFamily("fd2talk_videos", "Videos that the service has, by status.", labels=["status"])
        for status in STATUSES:
            family.add_metric([status], counts.get(status, 0))
        yield family
        for name, (called, meaning) in _TOTALS.items():
            yield CounterMetricFamily(called, meaning, totals.get(name, 0))
        waits = max(time.time() - oldest, 0) if oldest else 0
        yield GaugeMetricFamily(
            "fd2talk_queue_oldest_seconds", "How long the first video of the queue has waited.", waits
        )
        yield GaugeMetricFamily("fd2talk_disk_free_bytes", "Free bytes of the disk.", self._service.folders.free)
        up = GaugeMetricFamily(
            "fd2talk_worker_up", "1 while a process makes videos, or waits for one.", labels=["worker"]
        )
        for number, trouble in enumerate(self._service.troubles(), 1):
            up.add_metric([str(number)], int(trouble is None))
        yield up

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not read the database."""
        return iter(())
