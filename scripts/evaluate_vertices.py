"""What vertex models pay: fitting vertices back to coefficients, and the drift of integrated actions.

    python scripts/evaluate_vertices.py --model diface
    python scripts/evaluate_vertices.py --part drift --model facepolicy --model diface

* fit: what 3DiFACE's network generates need not be a face. Distance of its vertices from those of the coefficients that
  are fitted to them, beside how far they are displaced at all; on the development people, or with `--report` on `val`.
  Millimetres, means over clips ± half of the 95 % interval.
* drift: of a minute of speech (the demo recordings, over and over), in pieces of ten seconds: the distance of the mean
  face of a piece from that of the first piece, and its lip gap's mean (from that of people who talk) and standard
  deviation; means over seeds ± half of the 95 % interval. 3DFacePolicy sums what it predicts (eq. 2): with and without
  its correction of drift, and how far the vertices that it has summed are from any face. What keeps no sum cannot drift
  and shows how far pieces differ by what is said.

The network alone, without rules. Prints Markdown.
"""

from __future__ import annotations

from dataclasses import replace

import click
import numpy as np
import torch
from demo import long_speech
from held_out_clips import MODEL_HELP, load_model, prepared_option, seed_of
from markdown_tables import print_head, print_row
from remade_clips import people_clips, with_interval
from tqdm import tqdm

from shared.media import FPS
from stage1_motion.interface import Subject
from stage1_motion.models.diface.coordinates import Coordinates
from stage1_motion.models.diface.model import Diface
from stage1_motion.models.facepolicy.actions import ActionSpace, Units
from stage1_motion.motion_space import MotionSpace
from stage1_motion.pipeline import MotionPipeline

_SECONDS, _PIECE = 60, 10
_FRAMES = round(_PIECE * FPS)
_REGIONS = ("lips", "face")


@click.command(help=__doc__)
@click.option("--part", "parts", multiple=True, type=click.Choice(("fit", "drift")), default=("fit", "drift"))
@click.option("--model", "models", multiple=True, default=("diface", "facepolicy"), show_default=True, help=MODEL_HELP)
@prepared_option
@click.option("--seeds", default=5, show_default=True)
@click.option("--report", is_flag=True, help="On people that no setting was chosen on.")
def main(parts, models, prepared, seeds, report) -> None:
    torch.set_num_threads(1)
    pipelines = [load_model(model) for model in models]
    if "fit" in parts:
        columns = [f"{what}, {region}" for what in ("displacement", "left by the fit") for region in _REGIONS]
        print_head(["model", *columns, "largest left by the fit"], "Vertices fitted back to coefficients, mm")
        for pipeline in pipelines:
            if isinstance(pipeline.model, Diface):
                values = fit_costs(pipeline, people_clips(prepared, report, pipeline.face_model), seeds)
                print_row([pipeline.name, *(with_interval(column, 3) for column in values.T)])
    if "drift" in parts:
        columns = ("seconds", "mean face from the first piece's, mm", "lip gap, mean (mm)", "lip gap, std (mm)")
        print_head(["model", *columns, "off any face, mm"], f"Pieces of {_SECONDS} s of speech")
        for pipeline in pipelines:
            for name in variants(pipeline):
                for index, piece in enumerate(drift(pipeline, seeds).swapaxes(0, 1)):
                    at = f"{index * _PIECE} to {(index + 1) * _PIECE}"
                    print_row([name, at, *(with_interval(column, 3) for column in piece.T)])


class NotedCoordinates(Coordinates):
    """Keeps the displacements that are to be fitted."""

    def decode(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Coordinates`."""
        vertices = self.space.model.num_vertices
        self.noted = coordinates[:, : 3 * vertices].reshape(-1, vertices, 3) * self.scale  # [T, N, 3] mm
        return super().decode(coordinates)


def fit_costs(pipeline: MotionPipeline, clips: list, seeds: int) -> np.ndarray:
    """[C, 5]: the columns of the table, of every clip's samples."""
    model = pipeline.model
    assert isinstance(model, Diface)
    own = model.coordinates
    model.coordinates = noted = NotedCoordinates(own.space, own.scale, own.head)
    found = []
    for clip in tqdm(clips, leave=False):
        speech, made = pipeline.frontend(clip.motion.audio), []
        for index in range(seeds):
            random = torch.Generator().manual_seed(seed_of(clip.name, index))
            model.sample(speech, Subject.of(None, pipeline.face_model), generator=random)
            made.append(noted.noted)
        found.append(costs(own, np.concatenate(made)))
    model.coordinates = own
    return np.array(found)


def costs(coordinates: Coordinates, displacements: np.ndarray) -> list[float]:
    """Mean size of displacements [T, N, 3] of lips and face, of what the fit leaves of them, and the largest of it."""
    space = coordinates.space
    left = displacements - space.displacements(space.fit_displacements(displacements))
    regions = [space.model.groups["lips"], slice(None)]
    sizes = [np.linalg.norm(values, axis=-1) for values in (displacements, left)]  # [T, N]
    return [*(float(size[:, region].mean()) for size in sizes for region in regions), float(sizes[1].max())]


def variants(pipeline: MotionPipeline):
    """The model as it is, and without a correction of drift where it has one; yields names."""
    yield pipeline.name
    sampler = getattr(pipeline.model, "sampler", None)
    if getattr(sampler, "blur", 0):
        pipeline.model.sampler = replace(sampler, blur=0.0, leak=0.0)  # either feeds back faces instead of sums
        yield f"{pipeline.name}, as eq. 2"
        pipeline.model.sampler = sampler


class NotedActions(ActionSpace):
    """Notes how far the vertices that actions have led to are from any face."""

    def __init__(self, space: MotionSpace, units: Units) -> None:
        super().__init__(space, units)
        self._nearest = self.likely() @ self.to_vertices  # [3 N, 3 N]
        self.off: list[float] = []
        """mm, mean over the vertices of every frame."""

    def motion(self, positions: torch.Tensor, fit: torch.Tensor) -> torch.Tensor:
        """See `ActionSpace`."""
        vertices = positions[0, :, : len(fit)]
        left = (vertices - vertices @ self._nearest).reshape(len(vertices), -1, 3) * self.units.millimetres
        self.off += left.norm(dim=-1).mean(1).tolist()
        return super().motion(positions, fit)


def drift(pipeline: MotionPipeline, seeds: int) -> np.ndarray:
    """[seeds, pieces, 4]: the columns of the table, NaN where nothing is summed."""
    speech, model, found = pipeline.frontend(long_speech(_SECONDS)), pipeline.model, []
    own = getattr(model, "action_space", None)
    for seed in range(seeds):
        if own is not None:
            model.action_space = noted = NotedActions(model.space, own.units)
        made = model.sample(
            speech, Subject.of(None, pipeline.face_model), generator=torch.Generator().manual_seed(seed)
        )
        off = np.full(len(speech), np.nan) if own is None else np.array(noted.off)
        apart = [off[start : start + _FRAMES].mean() for start in range(0, len(speech) - _FRAMES + 1, _FRAMES)]
        found.append(np.column_stack([pieces(model.space, made.expression), apart]))
    if own is not None:
        model.action_space = own
    return np.array(found)


def pieces(space, expression: np.ndarray) -> list[list[float]]:
    """Of every piece of a motion [T, D] in the motion space: the columns of the table."""
    found = []
    for start in range(0, len(expression) - _FRAMES + 1, _FRAMES):
        piece = expression[start : start + _FRAMES]
        apart = space.displacements(piece.mean(0) - expression[:_FRAMES].mean(0))  # [N, 3]
        gap = piece @ space.gap_row()
        found.append([float(np.linalg.norm(apart, axis=-1).mean()), float(gap.mean()), float(gap.std())])
    return found


if __name__ == "__main__":
    main()
