"""Measurement of an ablation's variant by `fd2talk evaluate`, in up to three passes.

Motion needs no rendering: all clips of the split, several samples each. Images are compared in a few frames of one clip
of each person. Metrics of whole videos (LSE-C, SyncNet, FID) are measured where their networks are available, on one
whole clip of each person. Clips, tracks and measurements are cached as those of any other report.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from fd2talk.evaluation.ablation.file import UNSEEN_EXPERT, Ablation, Column, Variant
from fd2talk.evaluation.inputs.pairs import has_splits
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.runner import evaluate
from fd2talk.terminal import announce
from shared.errors import Fd2TalkError
from shared.metrics.metric_networks import find_metric_network


class VariantMeasure:
    """Measures the weights of variants.

    Args:
        ablation: its section `measured` says on what.
        folder: of the reports of the passes.
    """

    def __init__(self, ablation: Ablation, folder: Path) -> None:
        self.ablation, self.folder = ablation, folder

    def __call__(self, variant: Variant, weights: Path, columns: Collection[Column]) -> dict[Column, float]:
        """Measure one variant.

        Args:
            variant: with the settings of its renderer.
            weights: folder of both stages, with the lip expert `UNSEEN_EXPERT` if a training made one.
            columns: what to measure.

        Returns:
            Column -> mean over people, of the columns that can be measured.
        """
        measured, found = self.ablation.measured, {}
        passes: dict[str, tuple[list[Column], dict[str, Any]]] = {
            "motion": ([], {"repeats": measured.repeats, "per_person": measured.per_person}),
            "frames": ([], {"frames": measured.frames, "per_person": 1, "min_face": measured.min_face}),
            "videos": ([], {"per_person": 1, "min_face": measured.min_face}),
        }
        for column in sorted(self._possible(columns)):
            needs = CATALOGUE[column.metric].needs
            passes["videos" if "whole" in needs else "frames" if "video" in needs else "motion"][0].append(column)
        expert = weights / UNSEEN_EXPERT
        for name, (chosen, options) in passes.items():
            if not chosen:
                continue
            report = evaluate(
                list(dict.fromkeys(column.system for column in chosen)),
                self.folder / weights.parent.name / weights.name / name,
                reference=measured.reference,
                metrics=list(dict.fromkeys(column.metric for column in chosen)),
                split=self.ablation.protocol.split if has_splits(measured.reference) else None,
                resample=True,
                models=measured.models,
                weights=str(weights),
                unseen_expert=expert if expert.exists() else None,
                render=variant.render,
                sampling=variant.sampling,
                tracks=self.folder / "tracks",
                overwrite=True,
                **options,
            )
            for column in chosen:
                score = report["systems"][column.system]["scores"].get(column.metric)
                if score is not None:
                    found[column] = score["mean"]
        return found

    def _possible(self, columns: Collection[Column]) -> list[Column]:
        """Those whose metric networks are available."""
        missing: dict[str, str] = {}
        for network in sorted({network for column in columns for network in CATALOGUE[column.metric].networks}):
            try:
                find_metric_network(network, self.ablation.measured.models, False)
            except Fd2TalkError as error:
                missing[network] = str(error)
        for reason in missing.values():
            announce(reason)
        return [column for column in columns if missing.keys().isdisjoint(CATALOGUE[column.metric].networks)]
