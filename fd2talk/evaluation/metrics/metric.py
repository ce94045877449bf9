"""What a metric of the catalogue says about itself: needs and families."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric as reports describe it.

    Args:
        label: its name in tables.
        family: key of `FAMILIES`.
        unit: its unit, or empty.
        direction: `higher` or `lower` is better, or best is nearest to 0 (`zero`), to 1 (`one`) or to the value of the
            real clips (`real`).
        definition: one sentence.
        source: the paper.
        needs: keys of `NEEDS`.
        networks: keys of `shared.metrics.metric_networks.METRIC_NETWORKS`.
        pooled: what has equal weight in the mean of a row: `people` (each one's clips averaged), `clips` or `frames`.
    """

    label: str
    family: str
    unit: str
    direction: str
    definition: str
    source: str
    needs: tuple[str, ...]
    networks: tuple[str, ...] = ()
    pooled: str = "people"


NEEDS = {
    "video": "videos",
    "motion": "videos or motions",
    "reference video": "reference videos (--reference)",
    "reference motion": "reference videos or motions (--reference)",
    "speech": "speech",
    "phones": "the times of phones (--phones)",
    "repeats": "several samples of each clip (--repeats)",
    "whole": "whole videos (no --frames)",
    "unseen expert": "a lip expert that no loss saw (--unseen-expert)",
    "system": "a system that the evaluation runs (a name, not a folder)",
}

FAMILIES = {
    "sync_video": "Lip synchronisation on video (SyncNet)",
    "sync_motion": "Lip synchronisation on the mesh",
    "image": "Image quality",
    "image_by_motion": "Image quality by the motion of mouth and head",
    "head": "Head motion and eyes",
    "mesh": "Mesh",
    "cost": "Cost",
}

MOTION_FAMILIES = ("sync_motion", "head", "mesh")
"""Measured on the motion: no video is needed."""
