r"""Filmed faces driven by their own motion, by each renderer: are they the person, and do mouth and head follow?

    python scripts/evaluate_renderers.py ../shared/data/clips .cache/prepared ../shared/models \
        [--weights runs/unet/best] [--split val] [--frames 8] [--sheet SHEET.png]

Frames of every clip are rendered from its first one and tracked again. Identity: cosine with the real frame's
embedding. Aperture and head: correlation with the real frame's tracked lips and angles, both less the clip's mean, and
their spread relative to it. Distance: SqueezeDistance. `without phi_1`, `without phi_2`: the diffusion renderer whose
attention to the motion, or to the reference, adds nothing. The sheet shows the photo, each renderer and the real
frame; it shows filmed people: do not publish it.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from markdown_tables import print_head, print_row

from fd2talk.evaluation.inputs.clip_reader import take_frames
from shared.errors import InputError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.measures import lip_aperture
from shared.faces.identity import IdentityEmbedder
from shared.faces.tracker import track_photo
from shared.metrics.head import euler_degrees
from shared.metrics.perceptual import SqueezeDistance
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import clip_frames, load_track, read_index
from shared.tracking import photo_of_clip
from stage2_render import RENDERERS
from stage2_render.diffusion.attention import ConditionAttention
from stage2_render.pipeline import RenderPipeline

Renderer = Callable[[PhotoFit, Motion], Iterator[np.ndarray]]


@click.command(help=__doc__)
@click.argument("clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("models", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", default="bundled", show_default=True, help="Of the diffusion renderer.")
@click.option("--split", default="val", show_default=True)
@click.option("--frames", default=8, show_default=True, help="Of each clip.")
@click.option("--per-person", default=1, show_default=True, help="Clips of each person.")
@click.option("--min-face", default=110, show_default=True, help="Least height of the face in pixels.")
@click.option("--people", type=int, help="Most people.")
@click.option("--steps", type=int, help="Of the diffusion renderer.")
@click.option("--sheet", type=click.Path(path_type=Path), help="PNG to write.")
def main(clips, prepared, models, weights, split, frames, per_person, min_face, people, steps, sheet) -> None:
    torch.set_num_threads(1)
    model = load_bundled()
    renderers = _renderers(model, weights, steps)
    embed, distance = (kind(models / file) for kind, file in _JUDGES)
    scores: dict[str, dict[str, list]] = {name: defaultdict(list) for name in ("photo", *renderers)}
    rows, lost = [], dict.fromkeys(scores, 0)
    for row in chosen_clips(prepared, split, min_face, per_person)[:people]:
        filmed = list(clip_frames(clips, row))
        motion = Motion.load(prepared / "motions" / f"{row['name']}.npz", face_model=model.fingerprint)
        photo = photo_of_clip(filmed[0], load_track(prepared / "tracks" / f"{row['name']}.npz"), motion, model)
        numbers = np.linspace(0, min(len(filmed), len(motion)) - 1, frames + 1).astype(int)[1:]
        real = [filmed[k] for k in numbers]
        truth = [_judged(frame, embed, model) for frame in real]
        shown = {"photo": [filmed[0]] * frames}
        driving = take_frames(motion, numbers)
        shown |= {name: list(render(photo, driving)) for name, render in renderers.items()}
        for name, generated in shown.items():
            found = [_judged(frame, embed, model) for frame in generated]
            known = [k for k in range(frames) if truth[k] and found[k]]
            lost[name] += sum(bool(t) and not f for t, f in zip(truth, found))
            of_clip = scores[name]
            of_clip["identity"] += [float(truth[k][0] @ found[k][0]) for k in known]
            for place, part in ((1, "aperture"), (2, "head")):
                pairs = np.array([[truth[k][place], found[k][place]] for k in known], float)
                of_clip[part].append(pairs - pairs.mean(0)) if len(pairs) else None
            for frame, other in zip(generated, real):
                of_clip["psnr"].append(-10 * np.log10(max(np.square((frame - 1.0 * other) / 255).mean(), 1e-7)))
                with torch.inference_mode():
                    images = (torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255 for x in (frame, other))
                    of_clip["distance"].append(float(distance(*images)))
        middle = frames // 2
        pictures = [filmed[0], *(shown[name][middle] for name in renderers), real[middle]]
        rows.append(np.hstack([cv2.resize(one, (192, 192), interpolation=cv2.INTER_AREA) for one in pictures]))
        if sheet:
            cv2.imwrite(str(sheet), np.vstack(rows)[..., ::-1])
    print_head([f"{len(rows)} clips", "identity", "aperture r", "spread", "head r", "PSNR", "distance", "no face"])
    for name, found in scores.items():
        print_row([name, *summary(found), lost[name]])


_JUDGES = ((IdentityEmbedder, "mobilefacenet.onnx"), (SqueezeDistance, "squeezenet1_1_caffe.safetensors"))


def chosen_clips(prepared: Path, split: str, min_face: float, per_person: int) -> list[dict[str, str]]:
    """The first clips of each person of a split."""
    people: dict[str, list] = defaultdict(list)
    for row in read_index(prepared):
        if row["split"] == split and float(row["face_px"]) >= min_face:
            people[row["person"]].append(row)
    return [row for rows in people.values() for row in rows[:per_person]]


def summary(found: dict[str, list]) -> list[str]:
    """Identity, correlation and spread of the aperture, correlation of the angles, PSNR and distance, as text."""
    real, made = np.concatenate(found["aperture"]).T
    angles = np.concatenate(found["head"])  # [n, (real, made), 3]
    turns = [np.corrcoef(*angles[:, :, axis].T)[0, 1] if angles[:, 1, axis].any() else 0.0 for axis in range(3)]
    follows = np.corrcoef(real, made)[0, 1] if made.any() else 0.0
    numbers = [np.mean(found["identity"]), follows, made.std() / real.std(), np.mean(turns)]
    return [f"{n:.2f}" for n in numbers] + [f"{np.mean(found['psnr']):.1f}", f"{np.mean(found['distance']):.3f}"]


def _renderers(model: MorphableModel, weights: str, steps: int | None) -> dict[str, Renderer]:
    pipelines = {name: RenderPipeline.from_pretrained(weights, renderer=name) for name in RENDERERS}
    for part in ("phi_1", "phi_2"):
        pipelines[f"without {part}"] = RenderPipeline(model, without(pipelines["diffusion"].networks, part))

    def rendering(pipeline: RenderPipeline) -> Renderer:
        return lambda photo, motion: pipeline(photo, motion, relative=False, max_size=1280, steps=steps)

    return {name: rendering(pipeline) for name, pipeline in pipelines.items()}


@torch.no_grad()
def without(networks, part: str):
    """Networks one of whose attentions adds nothing; without phi_2 nothing is copied from the reference either."""
    networks = copy.deepcopy(networks)
    for module in networks.unet.modules():
        if isinstance(module, ConditionAttention):
            for parameter in getattr(module, part).output.parameters():
                parameter.zero_()
    if part == "phi_2" and networks.unet.copy is not None:
        networks.unet.copy.none.zero_()
        networks.unet.copy.plane.zero_()
        networks.unet.copy.query.weight.zero_()
        networks.unet.copy.query.bias.fill_(1.0)
        networks.unet.copy.none.fill_(1e4)
    return networks


def _judged(frame: np.ndarray, embed: IdentityEmbedder, model: MorphableModel):
    """Embedding, lip aperture and angles [3] of the face in a frame; None: there is none."""
    try:
        landmarks = track_photo(frame)
        fitted = PhotoFit.from_landmarks(frame, landmarks, model)
    except InputError:
        return None
    return embed(frame, landmarks), float(lip_aperture(landmarks)), euler_degrees(fitted.rotation[None])[0]


if __name__ == "__main__":
    main()
