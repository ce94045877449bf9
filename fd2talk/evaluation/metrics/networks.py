"""The metric networks of a run, loaded at their first use and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from shared.faces.identity import IdentityEmbedder
from shared.metrics.inception import Inception
from shared.metrics.lpips import LPIPS
from shared.metrics.perceptual import SqueezeDistance
from shared.metrics.syncnet import SyncNet
from stage1_motion.lip_expert.network import LipExpert


@dataclass
class MetricNetworks:
    """Available networks: name in `shared.metrics.metric_networks.METRIC_NETWORKS`, or `unseen_expert` -> path."""

    paths: dict[str, Path]

    def lpips(self, net: Literal["alex", "vgg"]) -> LPIPS:
        """For `lpips_<net>`."""
        return _lpips(net, self.paths[f"lpips_{net}_trunk"])

    @property
    def squeeze(self) -> SqueezeDistance:
        """For `squeeze_distance`."""
        return _loaded(SqueezeDistance, self.paths["squeezenet"])

    @property
    def embed(self) -> IdentityEmbedder:
        """For `identity`."""
        return _loaded(IdentityEmbedder, self.paths["identity"])

    @property
    def syncnet(self) -> SyncNet:
        """For the family `sync_video`."""
        return _loaded(SyncNet.load, self.paths["syncnet"])

    @property
    def unseen_expert(self) -> LipExpert:
        """For `unseen_expert_confidence` and `unseen_expert_distance`."""
        return _loaded(LipExpert.load, self.paths["unseen_expert"])

    @property
    def inception(self) -> Inception:
        """For `fid`."""
        return _loaded(Inception.load, self.paths["inception"])


@cache
def _loaded(load: Callable, path: Path) -> Any:
    return load(path)


@cache
def _lpips(net: Literal["alex", "vgg"], trunk: Path) -> LPIPS:
    return LPIPS(net, trunk)
