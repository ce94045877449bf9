"""Lips of edited videos where the film's mouth is open and the edit closes it: their own, and those of donors.

    python scripts/evaluate_edited_mouths.py FILM.mp4=SPEECH.wav ...

Every film is dubbed with other speech (`--part lips`), and its frames are rendered twice: with lips that are each
frame's own (`render_edit(donors=False)`), and with those of frames that lend theirs (the default). Measured in the crop
of the mouth that the repair network sees, which moves with the skull. Frames that count are those whose lips are at
least `--open` mm apart in the film and at most `--closed` mm in the edit. Real ones, for comparison, are
frames of the film with nearly closed mouths, without the three on each side of a donor.

* sharpness: of the lips, over that of the real ones; 1 is right.
* likeness: normalised correlation of colours with the real lips that are most alike, shifted by up to 6 pixels; the
  real ones are compared with each other.
* flicker: mean absolute second difference over time of the whole edit, over that of the film, whose words are others.

Prints Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

import click
import cv2
import numpy as np
from markdown_tables import print_head, print_row

from fd2talk.edited_video import video_footage
from fd2talk.options import FaceChoice
from shared.audio import read_audio
from shared.face_model.measures import lip_aperture, lip_gap
from shared.face_model.mediapipe_mesh import OUTER_LIPS
from shared.media import FPS, SAMPLE_RATE
from shared.metrics.image import sharpness, temporal_flicker
from stage1_motion.editing.request import EditRequest, changed_frames, planned
from stage1_motion.pipeline import MotionPipeline
from stage2_render.editing import renderer
from stage2_render.editing.footage import Footage
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair.parts import MOUTH

VARIANTS = {"own lips": False, "donors": True}
_SHARE = 0.12  # of the film's frames, whose lips are nearest
_BESIDE, _SHIFT = 3, 6


@dataclass(frozen=True)
class Dub:
    """A film that says something else.

    Attributes:
        footage: the film.
        gaps: of the film's lips and the edit's, [2, T] in mm.
        film: its frames.
        edits: of each of `VARIANTS`.
        donors: frames that lent their lips.
    """

    footage: Footage
    gaps: np.ndarray
    film: list[np.ndarray]
    edits: dict[str, list[np.ndarray]]
    donors: list[int]


def dubbed(film: str, speech: str, motion: MotionPipeline, render: RenderPipeline) -> Dub:
    """Dub a film with speech that is repeated to its length."""
    footage = video_footage(film, motion.face_model, FaceChoice())
    sound = np.resize(read_audio(speech), len(footage) * SAMPLE_RATE // FPS)
    plan = planned(footage.motion, sound, EditRequest(parts=["lips"]), motion.face_model)
    after = motion.edit(plan.motion, plan.speech, plan.constraint, seed=0)
    changed, donors = changed_frames(footage.motion, after, plan.origin), set()

    def noted(*arguments):
        found, weights = choose(*arguments)
        donors.update(found.tolist())
        return found, weights

    choose, edits = renderer.lip_donors, {}
    with patch.object(renderer, "lip_donors", noted):
        for name, lent in VARIANTS.items():
            edits[name] = list(renderer.render_edit(render, footage, after, changed, donors=lent))
    vertices = [footage.model.vertices(footage.identity, one.expression) for one in (footage.motion, after)]
    return Dub(footage, np.stack([lip_gap(one) for one in vertices]), list(footage.video()), edits, sorted(donors))


def real_closed(dub: Dub) -> list[int]:
    """Frames of the film with nearly closed lips, away from donors."""
    gaps = lip_aperture(dub.footage.track.landmarks)
    closed = np.flatnonzero(dub.footage.usable & (gaps <= np.quantile(gaps[dub.footage.usable], _SHARE)))
    return [k for k in closed.tolist() if all(abs(k - donor) > _BESIDE for donor in dub.donors)]


def crops(dub: Dub, frames: list[np.ndarray]) -> list[np.ndarray]:
    """The mouth's crop of each frame; the head of a dubbed film is the film's."""
    return [MOUTH.crop(points).take(frame) for points, frame in zip(dub.footage.track.landmarks, frames)]


def measured(dub: Dub, least_open: float, most_closed: float) -> dict[str, tuple[float, float, float]]:
    """Sharpness, likeness and flicker of the film and of both variants; the first is that of the real lips."""
    shown, real = np.flatnonzero((dub.gaps[0] >= least_open) & (dub.gaps[1] <= most_closed)).tolist(), real_closed(dub)
    film = crops(dub, dub.film)
    outlines = [MOUTH.crop(points).points(points)[list(OUTER_LIPS)] for points in dub.footage.track.landmarks[real]]
    masks = {k: _filled(one) for k, one in zip(real, outlines)}
    mask = np.max([cv2.dilate(one, np.ones((5, 5))) for one in masks.values()], axis=0).astype(bool)
    usual = float(np.median([sharpness(film[k], mask) for k in real]))

    def alike(crop: np.ndarray, others: list[int]) -> float:
        found = []
        for k in others:
            rows, columns = (np.flatnonzero(masks[k].any(axis)) for axis in (1, 0))
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            low = np.maximum([rows[0] - _SHIFT, columns[0] - _SHIFT], 0)
            around = crop[low[0] : rows[-1] + _SHIFT + 1, low[1] : columns[-1] + _SHIFT + 1]
            found.append(float(cv2.matchTemplate(around, film[k][box], cv2.TM_CCOEFF_NORMED).max()))
        return max(found)

    others = {k: [one for one in real if abs(one - k) > _BESIDE] for k in real}
    own = [alike(film[k], those) for k, those in others.items() if those]
    found = {"real": (1.0, float(np.mean(own)), 1.0)}
    for name, frames in dub.edits.items():
        edited = crops(dub, frames)
        sharp = np.mean([sharpness(edited[k], mask) for k in shown]) / usual
        likeness = np.mean([alike(edited[k], real) for k in shown])
        found[name] = float(sharp), float(likeness), temporal_flicker(edited) / temporal_flicker(film)
    return found


def _filled(outline: np.ndarray) -> np.ndarray:
    """Mask of lips with this outline in the crop, uint8."""
    return cv2.fillPoly(np.zeros(MOUTH.size[::-1], np.uint8), [np.rint(outline).astype(np.int32)], 1)


@click.command(help=__doc__)
@click.argument("pairs", nargs=-1, required=True, metavar="FILM=SPEECH...")
@click.option("--open", "least_open", default=5.0, show_default=True, help="Least gap in the film, mm.")
@click.option("--closed", "most_closed", default=1.5, show_default=True, help="Most gap in the edit, mm.")
def main(pairs: tuple[str, ...], least_open: float, most_closed: float) -> None:
    motion, render = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained()
    print_head(["film", "frames", "lips", "sharpness", "likeness", "flicker"], "Mouths that close")
    for number, pair in enumerate(pairs, 1):
        film, _, speech = pair.partition("=")
        dub = dubbed(film, speech, motion, render)
        count = int(((dub.gaps[0] >= least_open) & (dub.gaps[1] <= most_closed)).sum())
        for name, values in measured(dub, least_open, most_closed).items():
            print_row([number, count, name, *(f"{value:.2f}" for value in values)])


if __name__ == "__main__":
    main()
