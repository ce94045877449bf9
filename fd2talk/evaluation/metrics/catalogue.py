"""Every metric of `fd2talk evaluate`: its label, its definition in one sentence, and what it needs.

Formulas, protocols and traps are documented in `shared.metrics`; `metrics.clip_metrics` computes the values.
"""

from __future__ import annotations

import re
from dataclasses import replace

from fd2talk.evaluation.metrics.metric import Metric
from shared.metrics.rendering import HEAD_MOVES, MOUTH_CHANGES, TURN

_SYNCNET = "Chung & Zisserman 2016"
_IMAGE = ("video", "reference video")
_MESH = ("motion", "reference motion")
_EXPERT = "the bundled lip expert (FD2Talk eq. 10); not SyncNet, not LSE"
_OWN = "fd2talk"


def _sync_video() -> dict[str, Metric]:
    def metric(label: str, unit: str, direction: str, definition: str, source: str) -> Metric:
        return Metric(
            label, "sync_video", unit, direction, definition, source, ("video", "whole", "speech"), ("syncnet",)
        )

    return {
        "lse_c": metric(
            "LSE-C", "", "higher",
            "SyncNet confidence of the clip: median minus minimum, over shifts of ±15 frames, of the mean distance "
            "between mouth and speech embeddings.",
            f"Prajwal et al. 2020; {_SYNCNET}; FD2Talk §4.1",
        ),
        "lse_d": metric("LSE-D", "", "lower", "That minimum: the distance at the best shift.", "Prajwal et al. 2020"),
        "syncnet_confidence": metric(
            "SyncNet", "", "higher",
            "LSE-C of whole frames resized to 224 x 224 instead of SyncNet's own crops, as Prajwal et al. score "
            "datasets of face crops.",
            f"{_SYNCNET}; FD2Talk §4.1 does not define how its column SyncNet differs from LSE-C: our interpretation",
        ),
        "syncnet_offset": metric(
            "SyncNet offset", "frames", "zero",
            "The shift with the smallest distance; above 0 the video lags behind the audio.", _SYNCNET,
        ),
    }  # fmt: skip


def _sync_motion() -> dict[str, Metric]:
    def expert(label: str, unit: str, direction: str, definition: str) -> Metric:
        return Metric(label, "sync_motion", unit, direction, definition, _EXPERT, ("motion", "speech"))

    def curve(label: str, unit: str, direction: str, definition: str) -> Metric:
        return Metric(label, "sync_motion", unit, direction, definition, _OWN, _MESH)

    aperture = "lip aperture (distance of the inner lips over the distance of the outer eye corners)"
    confidence = expert(
        "Lip-expert confidence", "", "higher",
        "Median minus minimum, over shifts of ±15 frames, of the mean distance between the lip expert's embeddings of "
        "mouth vertices and of speech.",
    )  # fmt: skip
    distance = expert("Lip-expert distance", "", "lower", "The distance at the clip's best shift (0 to 1.41).")
    return {
        "lip_expert_confidence": confidence,
        "lip_expert_distance": distance,
        "lip_expert_offset": expert(
            "Lip-expert offset", "frames", "zero",
            "The shift with the smallest distance; above 0 the mouth lags behind the audio.",
        ),
        "lip_expert_in_sync": expert(
            "Within ±1 frame", "of clips", "higher", "Share of clips whose lip-expert offset is -1, 0 or 1."
        ),
        "unseen_expert_confidence": replace(
            confidence,
            label="Unseen expert's confidence",
            definition="The same of a lip expert that was part of no loss (--unseen-expert).",
            needs=(*confidence.needs, "unseen expert"),
        ),
        "unseen_expert_distance": replace(
            distance,
            label="Unseen expert's distance",
            definition="The unseen expert's distance at the clip's best shift (0 to 1.41).",
            needs=(*distance.needs, "unseen expert"),
        ),
        "aperture_correlation": curve(
            "Aperture r", "", "higher",
            f"Pearson correlation of generated and reference {aperture} at the best lag within ±2 frames.",
        ),
        "aperture_lag": curve(
            "Aperture lag", "frames", "zero", "The best lag; above 0 the generated lips lag behind."
        ),
        "aperture_spread": curve(
            "Aperture spread", "of real", "one",
            f"Standard deviation of the {aperture} over the reference's; 1 is natural.",
        ),
        "aperture_speed": curve(
            "Aperture speed", "of real", "one",
            "Mean absolute change of the aperture from frame to frame over the reference's.",
        ),
        "aperture_mean_correlation": Metric(
            "Aperture r, mean of samples", "sync_motion", "", "higher",
            f"Pearson correlation of the reference {aperture} and the mean of all samples of a clip, at the best lag "
            "within ±2 frames.",
            _OWN, (*_MESH, "repeats"),
        ),
        "aperture_seed_correlation": Metric(
            "Aperture r between samples", "sync_motion", "", "lower",
            "Pearson correlation of the lip apertures of two samples of one clip, mean over pairs of samples.",
            _OWN, ("motion", "repeats"),
        ),
        "closure_rate": Metric(
            "b/p/m closure", "sync_motion", "", "higher",
            "Share of b, p and m within 2 frames of which the aperture falls to its lowest quarter; 0 for lips that "
            "never open.",
            _OWN, ("motion", "phones"),
        ),
    }  # fmt: skip


def _image() -> dict[str, Metric]:
    def regional(
        key: str, label: str, unit: str, definition: str, source: str, face: str, *networks: str
    ) -> dict[str, Metric]:
        """The metric of the whole frame, of the face, of the mouth and of the eyes."""
        box = "in the bounding box{} of the reference frame's {}, enlarged by 25 % of {} width on each side"
        mouth, eyes = box.format("", "lips", "its"), box.format("es", "eyes", "their")
        direction = "higher" if label in ("PSNR", "SSIM") else "lower"
        return {
            key + end: Metric(
                f"{label} {end[1:]}".strip(), "image", unit, direction, definition.format(region), source, _IMAGE,
                networks,
            )
            for end, region in {"": "whole frame", "_face": face, "_mouth": mouth, "_eyes": eyes}.items()
        }  # fmt: skip

    oval, box = "inside the face oval of the reference frame", "in the bounding box of the reference frame's face"
    psnr, ssim = "Peak signal-to-noise ratio, {}, mean over frames.", "Structural similarity, {}, mean over frames."
    both = (
        regional("psnr", "PSNR", "dB", psnr, "FD2Talk §4.1", oval),
        regional("ssim", "SSIM", "", ssim, "Wang et al. 2004; FD2Talk §4.1", oval),
    )
    metrics = {key: metric for of_region in zip(*(each.items() for each in both)) for key, metric in of_region}
    for net in ("alex", "vgg"):
        trunk, lpips = f"lpips_{net}_trunk", "Learned perceptual distance v0.1, {}."
        metrics |= regional(f"lpips_{net}", f"LPIPS ({net})", "", lpips, "Zhang et al. 2018", box, trunk)
    squeeze = "Distance of unit-normalised SqueezeNet features, {}; not LPIPS."
    metrics |= regional("squeeze_distance", "Squeeze distance", "", squeeze, _OWN, box, "squeezenet")
    metrics["fid"] = Metric(
        "FID", "image", "", "lower",
        "Fréchet distance between the Inception-v3 features of all generated and of all reference frames measured.",
        "Heusel et al. 2017; FD2Talk §4.1", (*_IMAGE, "whole"), ("inception",),
    )  # fmt: skip
    metrics["identity"] = Metric(
        "CSIM", "image", "", "higher",
        "Cosine of face embeddings: each frame against the photo (the reference's first frame, or else its own).",
        "MobileFaceNet", ("video",), ("identity",),
    )  # fmt: skip
    metrics["sharpness"] = Metric(
        "Sharpness", "image", "of real", "one",
        "Root mean square of the Laplacian within the face over the reference frame's.", "Pech-Pacheco et al. 2000",
        _IMAGE,
    )  # fmt: skip
    metrics["flicker"] = Metric(
        "Flicker", "image", "0..255", "real",
        "Mean absolute second difference over time of all pixels: motion plus temporal flicker.", _OWN,
        ("video", "whole"),
    )  # fmt: skip
    return metrics


def _image_by_motion() -> dict[str, Metric]:
    """Of each class of frames, the PSNR, SSIM and squeeze distance that show the class best."""
    mouth = "in frames whose lip aperture {} against the photo, the reference's first frame, in the box of the mouth"
    head = "in frames whose head has moved {} in the picture from the photo, the reference's first frame, whole frame"
    aperture = {
        "opened": "is larger by more than 5 % of the distance of the outer eye corners",
        "closed": "is smaller by more than 5 % of the distance of the outer eye corners",
        "unchanged": "has changed by at most 5 % of the distance of the outer eye corners",
    }
    classes = {f"_mouth_{change}": mouth.format(aperture[change]) for change in MOUTH_CHANGES}
    classes |= {f"_head_{move}": head.format(_words(move).replace("px", "pixels")) for move in HEAD_MOVES}
    turned = "in frames whose head has turned by {:g} to {:g} degrees since the photo, the reference's first frame, "
    for part, where in {
        "mouth": "in the box of the mouth",
        "eyes": "in those of the eyes",
        "head": "whole frame",
    }.items():
        classes[f"_{part}_turned"] = turned.format(*TURN) + where
    image = _image()
    return {
        base + end: Metric(
            f"{image[base].label}, {_words(end)}", "image_by_motion", image[base].unit, image[base].direction,
            f"{image[base].label} {where}, mean over these frames of a clip.", image[base].source, _IMAGE,
            image[base].networks,
        )
        for end, where in classes.items()
        for base in ("psnr", "ssim", "squeeze_distance")
    }  # fmt: skip


def _words(key: str) -> str:
    return re.sub(r"(\d)px", r"\1 px", key.strip("_").replace("_", " "))


def _head() -> dict[str, Metric]:
    def metric(label: str, unit: str, direction: str, definition: str, source: str, *needs: str) -> Metric:
        return Metric(label, "head", unit, direction, definition, source, ("motion", *needs))

    return {
        "head_diversity": metric(
            "Diversity", "degrees", "real",
            "Standard deviation within a clip of the tracker's pitch, yaw and roll, mean of the three; not of "
            "Hopenet's embeddings.",
            "FD2Talk §4.1, with other features",
        ),
        "beat_align_audio": metric(
            "Beat Align", "", "higher", "How near the nearest head beat is to each audio beat.",
            "FD2Talk §4.1 (Siyao et al. 2022)", "speech",
        ),
        "beat_align_real": metric(
            "BA", "", "higher", "How near the nearest generated head beat is to each reference head beat.",
            "DiffPoseTalk §4", "reference motion",
        ),
        "head_spread": metric(
            "Head spread", "of real", "one",
            "Standard deviation of the head's rotation within a clip over the reference's.", _OWN, "reference motion",
        ),
        "head_growth": metric(
            "Head growth", "%", "real", "Change of the head's size in the clip's first 0.4 s.", _OWN
        ),
        "blink_rate": metric("Blinks", "per minute", "real", "Closures of the eyelids.", _OWN),
    }  # fmt: skip


def _mesh() -> dict[str, Metric]:
    def metric(
        label: str, unit: str, direction: str, definition: str, source: str, *needs: str, pooled: str = "people"
    ) -> Metric:
        return Metric(label, "mesh", unit, direction, definition, source, needs or _MESH, pooled=pooled)

    return {
        "lve": metric(
            "LVE", "mm", "lower", "Largest error of a lip vertex in each frame, mean over frames.", "DiffPoseTalk §4"
        ),
        "fdd": metric(
            "FDD", "mm", "lower",
            "Upper-face dynamics deviation: difference between the reference's and the generated standard deviation "
            "over time of the vertices' displacement; absolute value of the clip's mean over vertices.",
            "Xing et al. 2023; DiffPoseTalk §4",
        ),
        "fdd_signed": metric(
            "FDD signed", "mm", "zero",
            "FDD with its sign: above 0 the generated face moves less than the reference.", "Xing et al. 2023",
        ),
        "lve_codetalker": metric(
            "LVE (CodeTalker)", "mm²", "lower",
            "Largest squared error of a lip vertex in each frame, mean over the frames of all clips.",
            "Xing et al. 2023, published code; DiffPoseTalk §A.6", pooled="frames",
        ),
        "fdd_codetalker": metric(
            "FDD (CodeTalker)", "mm²", "zero",
            "Difference between the reference's and the generated standard deviation over time of the squared "
            "displacement of the upper face's vertices, signed mean over clips; above 0 the generated face moves less.",
            "Xing et al. 2023, published code; 3DFacePolicy §4.2; DiffPoseTalk §A.6", pooled="clips",
        ),
        "mod": metric("MOD", "mm", "lower", "Mean absolute difference of the mouth's opening.", "DiffPoseTalk §4"),
        "lip_sync": metric(
            "Lip-Sync", "mm", "lower",
            "Dynamic time warping of the lip vertices: mean error along the best path.",
            "Thambiraja et al. 2023 (Imitator); 3DiFACE §6",
        ),
        "lip_max": metric("Lip-max", "mm", "lower", "The same number as LVE under 3DiFACE's name.", "3DiFACE §6"),
        "l2_lip": metric("L2 lip", "mm", "lower", "Mean error of the lip vertices.", "3DiFACE §6"),
        "l2_face": metric("L2 face", "mm", "lower", "Mean error of all vertices.", "3DiFACE §6"),
        "mve": metric("MVE", "mm", "lower", "Mean vertex error: the same number as L2 face.", "3DFacePolicy §4.2"),
        "expression_diversity": metric(
            "Div^E", "mm", "higher",
            "Mean distance between samples of one clip: vertices without head motion.",
            "Ren et al. 2022; DiffPoseTalk §4, 3DiFACE §6", "motion", "repeats",
        ),
        "pose_diversity": metric(
            "Pose diversity", "degrees", "higher",
            "Mean distance between samples of one clip: pitch, yaw and roll.",
            "Ren et al. 2022; DiffPoseTalk §4", "motion", "repeats",
        ),
    }  # fmt: skip


def _cost() -> dict[str, Metric]:
    def metric(label: str, unit: str, definition: str, *needs: str) -> Metric:
        return Metric(label, "cost", unit, "lower", definition, _OWN, ("system", *needs))

    seconds = "Seconds of computation per second of video, one thread."
    return {
        "seconds_stage1": metric("Stage one", "s per s", seconds),
        "seconds_stage2": metric("Stage two", "s per s", seconds, "whole"),
        "memory": metric("Memory", "MiB", "Largest resident set of the processes that generated and measured clips."),
        "parameters_stage1": metric("Parameters, stage one", "million", "Of stage one's networks."),
        "parameters_stage2": metric("Parameters, stage two", "million", "Of stage two's networks."),
        "gflop_frame": metric(
            "Operations per frame", "GFLOP", "Both stages, counted by operator (a multiply-add is two)."
        ),
    }


CATALOGUE: dict[str, Metric] = {
    **_sync_video(),
    **_sync_motion(),
    **_image(),
    **_image_by_motion(),
    **_head(),
    **_mesh(),
    **_cost(),
}
"""Key -> metric, in the order of the reports' columns."""
