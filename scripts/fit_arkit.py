"""Fit ARKit's 52 blendshapes to expression coefficients, with mediapipe's landmarker as the teacher.

What is fitted: the map to the teacher's scores, the shape of every curve, and an average face at rest.

    python scripts/fit_arkit.py DATA/clips PREPARED face_landmarker.task assets/arkit --scores scores.npz

PREPARED is the prepared data set of DATA/clips, with the bundled face model. The teacher scores every fifth frame of at
most `--clips` training clips and of all clips of `val`; its scores are cached in `--scores`, so that a second run only
fits.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import chain, zip_longest
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.numpy import save_file
from tqdm import tqdm

from shared.arkit import NAMES, UNSEEN, ArkitMap, neutral_expression
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.training.learn import mirror_index
from shared.files import atomic_output
from shared.motion import Motion
from shared.prepared import clip_frames, load_motions, read_index, save_arrays

EVERY = 5
# Standard deviation of a score within a clip below which the clip does not determine it.
MOVES = 0.01
USABLE = 0.6
# Ridge penalty of the shapes, in the scores' variance: curves that hardly move get no large shape.
SHRINK_SHAPES = 1e-4


def choose(index: list[dict], clips: int) -> list[dict]:
    """Training clips, one of each person before a second one of anyone, then those of `val`."""
    people = defaultdict(list)
    for row in index:
        if row["split"] == "train":
            people[row["person"]].append(row)
    train = [row for row in chain.from_iterable(zip_longest(*people.values())) if row]
    return train[:clips] + [row for row in index if row["split"] == "val"]


def ask_teacher(rows: list[dict], clips: Path, prepared: Path, landmarker: Path) -> dict[str, np.ndarray]:
    """expression, identity, scores [n, 52], clip [n] (index of the row), split [n]: one entry per frame with a face."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)), output_face_blendshapes=True, num_faces=1
    )
    found = defaultdict(list)
    with vision.FaceLandmarker.create_from_options(options) as teacher:
        for number, row in enumerate(tqdm(rows, unit="clip")):
            motion = load_motions(prepared, [row], load_bundled())[row["name"]]
            for index, frame in enumerate(clip_frames(clips, row)):
                if index % EVERY:
                    continue
                result = teacher.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=frame))
                if not result.face_blendshapes:
                    continue
                scores = {category.category_name: category.score for category in result.face_blendshapes[0]}
                found["scores"].append([scores.get(name, 0.0) for name in NAMES])  # the teacher has no tongue score
                found["expression"].append(motion.expression[index])
                found["identity"].append(motion.identity)
                found["clip"].append(number)
                found["split"].append(row["split"])
    return {name: np.array(values) for name, values in found.items()}


def parity(model: MorphableModel, basis: np.ndarray) -> np.ndarray:
    """1 for components that are their own mirror image, -1 for those that are the opposite of it."""
    return np.sign((basis * basis[:, mirror_index(model.mean)] * [-1, 1, 1]).sum((1, 2)))


def with_mirror_images(model: MorphableModel, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every frame and its mirror image: the model's components are each even or odd, the scores change sides."""

    def other_side(name: str) -> str:
        sides = {"Left": "Right", "Right": "Left"}
        return next((name.removesuffix(a) + b for a, b in sides.items() if name.endswith(a)), name)

    def both(values: np.ndarray, images: np.ndarray) -> np.ndarray:
        return np.concatenate([values, images]).astype(np.float32)

    order = [NAMES.index(other) if (other := other_side(name)) in NAMES else i for i, name in enumerate(NAMES)]
    return {
        "expression": both(data["expression"], data["expression"] * parity(model, model.exp_basis)),
        "identity": both(data["identity"], data["identity"] * parity(model, model.id_basis)),
        "scores": both(data["scores"], data["scores"][:, order]),
    }


def fit_scores(data: dict[str, np.ndarray], *, shrink: float = 1e-3) -> dict[str, np.ndarray]:
    """Weights of expression and identity, and bias: least squares through a sigmoid with a small ridge penalty.

    The identity's weights absorb the dependence of the teacher's scores on the shape of the face.
    """
    inputs = torch.from_numpy(np.concatenate([data["expression"], data["identity"]], axis=1))
    scores = torch.from_numpy(data["scores"])
    weights = torch.zeros(inputs.shape[1], len(NAMES), requires_grad=True)
    bias = torch.logit(scores.mean(0).clamp(1e-4, 1 - 1e-4)).requires_grad_()
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = 10 * ((torch.sigmoid(inputs @ weights + bias) - scores) ** 2).sum(1).mean()
        value = value + shrink * (weights**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        still = scores.amax(0) < MOVES  # nothing to learn: keep the curve at 0
        weights[:, still] = 0
        bias[still] = -16
    parts = weights.detach().numpy().astype(np.float16).astype(np.float32)
    split = data["expression"].shape[1]
    return {"expression": parts[:split], "identity": parts[split:], "bias": bias.detach().numpy()}


def fit_shapes(model: MorphableModel, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Shapes, gain and rest of `ArkitMap`: ridge regression of the expression on the scores, both less the clip's mean.

    Within a clip only the expression changes, so that nobody's features become part of a shape.
    """
    clips = [{name: data[name][data["clip"] == clip] for name in data} for clip in np.unique(data["clip"])]
    still = np.zeros((1, 3))

    def resting(expression: np.ndarray) -> np.ndarray:
        pose = still.repeat(len(expression), 0)
        return neutral_expression(Motion(expression, pose, pose, model.fingerprint))

    rest = np.mean([resting(clip["expression"]) for clip in clips], axis=0)
    rest = rest * (1 + parity(model, model.exp_basis)) / 2
    nobody = np.zeros(model.num_identity)

    def shape(expression: np.ndarray) -> np.ndarray:
        return model.vertices(nobody, expression)

    # Lips that touch, as on every face at rest with a closed mouth.
    opening = lip_gap(shape(model.extra["open"])) - lip_gap(model.mean)
    rest = rest - lip_gap(shape(rest)) / opening * model.extra["open"]
    names = ("expression", "scores", "identity")
    pairs = with_mirror_images(model, {n: np.concatenate([clip[n] - clip[n].mean(0) for clip in clips]) for n in names})
    scores, expression = (pairs[name].astype(np.float64) for name in ("scores", "expression"))
    covariance = scores.T @ scores / len(scores) + SHRINK_SHAPES * np.eye(len(NAMES))
    shapes = np.linalg.solve(covariance, scores.T @ expression / len(scores))
    shapes[[NAMES.index(name) for name in UNSEEN]] = 0
    blinks = [NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    gain = np.ones(len(NAMES))
    gain[blinks] = lid_gap(shape(rest)) / (lid_gap(shape(rest)) - lid_gap(shape(rest + shapes[blinks].sum(0))))
    return {"shapes": shapes * gain[:, None], "gain": gain, "rest": rest}


def fit(model: MorphableModel, data: dict[str, np.ndarray]) -> ArkitMap:
    """The whole map, in the types in which it is saved."""
    values = fit_scores(with_mirror_images(model, data)) | fit_shapes(model, data)
    types = {name: np.float16 if value.ndim == 2 else np.float32 for name, value in values.items()}
    return ArkitMap(**{n: value.astype(types[n]) for n, value in values.items()}, face_model=model.fingerprint)


def validate(arkit: ArkitMap, data: dict[str, np.ndarray]) -> list[dict]:
    """For each score: median over clips of the correlation within a clip, correlation over all frames, mean error."""
    logits = data["expression"] @ arkit.expression + data["identity"] @ arkit.identity + arkit.bias
    predicted, scores = 1 / (1 + np.exp(-logits)), data["scores"]
    rows = []
    for k, name in enumerate(NAMES):
        within = []
        for clip in np.unique(data["clip"]):
            p, s = predicted[data["clip"] == clip, k], scores[data["clip"] == clip, k]
            if len(s) >= 8 and s.std() > MOVES:
                within.append(np.corrcoef(p, s)[0, 1] if p.std() > 1e-6 else 0.0)
        moving = scores[:, k].std() > MOVES / 2
        median = np.median(within) if len(within) >= 5 else np.nan
        over_all = np.corrcoef(predicted[:, k], scores[:, k])[0, 1] if moving else np.nan
        error = np.abs(predicted[:, k] - scores[:, k]).mean()
        row = {"name": name, "spread": scores[:, k].std(), "clips": len(within)}
        rows.append(row | {"within": median, "over_all": over_all, "error": error})
    return rows


def card(rows: list[dict], frames: dict[str, int], fingerprint: str) -> str:
    usable = [r for r in rows if r["within"] >= USABLE and r["over_all"] >= USABLE]
    unseen = [r["name"] for r in rows if np.isnan(r["within"]) or np.isnan(r["over_all"])]
    weak = [r["name"] for r in rows if r not in usable and r["name"] not in unseen]
    median = np.nanmedian([r["within"] for r in rows])
    line = "| {name} | {spread:.3f} | {clips} | {within:.2f} | {over_all:.2f} | {error:.3f} |\n"
    table = "".join(line.format(**row) for row in rows).replace(" nan ", " - ")
    return f"""# ARKit blendshape map

`map.safetensors` turns expression and identity coefficients of the face model `{fingerprint}`
into ARKit's 52 blendshape scores: `sigmoid(expression @ W_exp + identity @ W_id + bias)`. `scripts/fit_arkit.py`
fitted it to the scores of mediapipe's face landmarker (Apache-2.0) on {frames["train"]} frames of videos of people and
their mirror images, and measured it on {frames["val"]} frames of other people. The teacher has no score `tongueOut`: it
is always 0.

The file also holds `shapes`, what a curve of 1 adds to the expression coefficients (regression on the same frames),
`gain`, curve per score (a blink of 1 shuts the eye), and `rest`, an average face at rest with closed lips. Curves that
are exported are the weights of the shapes that reproduce a motion, drawn to the scores.

Median over scores of the correlation within a clip: {median:.2f}.

* Well determined ({len(usable)}; both correlations at least {USABLE}): {", ".join(r["name"] for r in usable)}.
* Weak ({len(weak)}; only approximate): {", ".join(weak)}.
* Not determined ({len(unseen)}; they hardly ever move in the teacher's scores): {", ".join(unseen)}.

The material is research material: these weights are for research use.

| score | std. deviation | clips in which it moves | correlation within a clip, median | over all frames | mean error |
|---|---|---|---|---|---|
{table}"""


@click.command(help=__doc__)
@click.argument("clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("landmarker", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--scores", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Cache of the teacher.")
@click.option("--clips", "count", default=300, show_default=True, help="Maximum of training clips.")
def main(clips: Path, prepared: Path, landmarker: Path, out: Path, scores: Path, count: int) -> None:
    model = load_bundled()
    if not scores.exists():
        rows = choose(read_index(prepared), count)
        save_arrays(scores, **ask_teacher(rows, clips, prepared, landmarker))
    with np.load(scores, allow_pickle=False) as file:
        data = {name: file[name] for name in ("expression", "identity", "scores", "clip", "split")}
    parts = {name: {key: value[data["split"] == name] for key, value in data.items()} for name in ("train", "val")}
    torch.manual_seed(0)
    arkit = fit(model, parts["train"])
    results = validate(arkit, parts["val"])
    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: value for name, value in vars(arkit).items() if name != "face_model"}
    with atomic_output(out / "map.safetensors", overwrite=True) as file:
        save_file(tensors, str(file), metadata={"arkit": json.dumps({"face_model": arkit.face_model})})
    text = card(results, {name: len(part["clip"]) for name, part in parts.items()}, arkit.face_model)
    (out / "README.md").write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
