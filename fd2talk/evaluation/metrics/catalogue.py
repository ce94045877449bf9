"""Every metric of `fd2talk evaluate`: what it is called, what it means, what it needs.

What computes it is in `measure`. The formulas stand in the docstrings of `shared.metrics`; here is the one sentence
that a report prints.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """label and unit as printed; direction: `higher` or `lower` is better, or nearest to 0 (`zero`), 1 (`one`) or the
    real clips' value (`real`); needs: what of a pair it takes (`NEEDS`); judges: files of
    `shared.metrics.metric_networks`."""

    label: str
    family: str
    unit: str
    direction: str
    definition: str
    source: str
    needs: tuple[str, ...]
    judges: tuple[str, ...] = ()


NEEDS = {
    "video": "videos",
    "motion": "videos or motions",
    "real video": "reference videos (--reference)",
    "real motion": "reference videos or motions (--reference)",
    "speech": "speech",
    "phones": "the times of phones (--phones)",
    "repeats": "several samples of each clip (--repeats)",
    "system": "a system that is run here (a name, not a folder)",
}

FAMILIES = {
    "sync_video": "Lip synchronisation on video (SyncNet)",
    "sync_motion": "Lip synchronisation on the mesh",
    "image": "Image quality",
    "head": "Head motion and eyes",
    "mesh": "Mesh",
    "cost": "Cost",
}

_SYNCNET = "Chung & Zisserman 2016"
_IMAGE = ("video", "real video")
_MESH = ("motion", "real motion")
_EXPERT = "the bundled lip expert (FD2Talk eq. 10); not SyncNet, not LSE"
_HERE = "fd2talk"


def _sync_video() -> dict[str, Metric]:
    def metric(label: str, unit: str, direction: str, definition: str, source: str) -> Metric:
        return Metric(label, "sync_video", unit, direction, definition, source, ("video", "speech"), ("syncnet",))

    return {
        "lse_c": metric(
            "LSE-C",
            "",
            "higher",
            "SyncNet confidence of the clip: median minus minimum, over shifts of ±15 frames, of the mean distance "
            "between mouth and speech embeddings.",
            f"Prajwal et al. 2020; {_SYNCNET}; FD2Talk §4.1",
        ),
        "lse_d": metric(
            "LSE-D", "", "lower", "That minimum itself: the distance at the best shift.", "Prajwal et al. 2020"
        ),
        "syncnet_confidence": metric(
            "SyncNet",
            "",
            "higher",
            "LSE-C of whole frames resized to 224 x 224 instead of SyncNet's own crops, as Prajwal et al. score "
            "datasets of face crops.",
            f"{_SYNCNET}; FD2Talk §4.1 does not say how its column SyncNet differs from LSE-C: this is our reading",
        ),
        "syncnet_offset": metric(
            "SyncNet offset",
            "frames",
            "zero",
            "The shift of the least distance; above 0 the picture is late.",
            _SYNCNET,
        ),
    }


def _sync_motion() -> dict[str, Metric]:
    def expert(label: str, unit: str, direction: str, definition: str) -> Metric:
        return Metric(label, "sync_motion", unit, direction, definition, _EXPERT, ("motion", "speech"))

    def curve(label: str, unit: str, direction: str, definition: str) -> Metric:
        return Metric(label, "sync_motion", unit, direction, definition, _HERE, _MESH)

    aperture = "lip aperture (inner-lip distance over the distance of the outer eye corners)"
    return {
        "lip_expert_confidence": expert(
            "Lip-expert confidence",
            "",
            "higher",
            "Median minus minimum, over shifts of ±15 frames, of the mean distance between the lip expert's "
            "embeddings of mouth vertices and of speech.",
        ),
        "lip_expert_distance": expert(
            "Lip-expert distance", "", "lower", "That distance at the clip's best shift (0 to 1.41)."
        ),
        "lip_expert_offset": expert(
            "Lip-expert offset", "frames", "zero", "The shift of the least distance; above 0 the mouth is late."
        ),
        "lip_expert_in_sync": expert(
            "Within ±1 frame", "of clips", "higher", "Share of clips whose lip-expert offset is -1, 0 or 1."
        ),
        "aperture_correlation": curve(
            "Aperture r",
            "",
            "higher",
            f"Pearson correlation of made and real {aperture} at the best lag within ±2 frames.",
        ),
        "aperture_lag": curve("Aperture lag", "frames", "zero", "That lag; above 0 the made lips are late."),
        "aperture_spread": curve(
            "Aperture spread",
            "of real",
            "one",
            f"Standard deviation of the {aperture} over the real one's; 1 is natural.",
        ),
        "aperture_speed": curve(
            "Aperture speed", "of real", "one", "Mean step of the aperture from frame to frame over the real one's."
        ),
        "closure_rate": Metric(
            "b/p/m closure",
            "sync_motion",
            "",
            "higher",
            "Share of b, p and m within 2 frames of which the aperture falls to its lowest quarter; 0 for lips that "
            "never open.",
            _HERE,
            ("motion", "phones"),
        ),
    }


def _image() -> dict[str, Metric]:
    regions = {
        "": "whole frame",
        "_face": "inside the face oval of the real frame",
        "_mouth": "in the box of the real frame's lips, 25 % of their width larger on each side",
    }
    boxes = {**regions, "_face": "in the box of the real frame's face"}
    metrics = {}
    for end, where in regions.items():
        name = f" {end[1:]}" if end else ""
        metrics[f"psnr{end}"] = Metric(
            f"PSNR{name}", "image", "dB", "higher", f"Peak signal-to-noise ratio, {where}, mean over frames.",
            "FD2Talk §4.1", _IMAGE,
        )  # fmt: skip
        metrics[f"ssim{end}"] = Metric(
            f"SSIM{name}", "image", "", "higher", f"Structural similarity, {where}, mean over frames.",
            "Wang et al. 2004; FD2Talk §4.1", _IMAGE,
        )  # fmt: skip
    for net in ("alex", "vgg"):
        for end, where in boxes.items():
            name = f" {end[1:]}" if end else ""
            judges = (f"lpips_{net}_trunk", f"lpips_{net}_linear")
            metrics[f"lpips_{net}{end}"] = Metric(
                f"LPIPS ({net}){name}", "image", "", "lower", f"Learned perceptual distance v0.1, {where}.",
                "Zhang et al. 2018", _IMAGE, judges,
            )  # fmt: skip
    for end, where in boxes.items():
        name = f" {end[1:]}" if end else ""
        metrics[f"squeeze_distance{end}"] = Metric(
            f"Squeeze distance{name}", "image", "", "lower",
            f"Distance of unit-normalised SqueezeNet features, {where}; not LPIPS.", _HERE, _IMAGE, ("squeezenet",),
        )  # fmt: skip
    metrics["fid"] = Metric(
        "FID", "image", "", "lower",
        "Fréchet distance of Inception-v3 features of all made against all real frames measured.",
        "Heusel et al. 2017; FD2Talk §4.1", _IMAGE, ("inception",),
    )  # fmt: skip
    metrics["identity"] = Metric(
        "CSIM", "image", "", "higher",
        "Cosine of face embeddings: each made frame against the photo (the reference's first frame, else its own).",
        "MobileFaceNet", ("video",), ("identity",),
    )  # fmt: skip
    metrics["sharpness"] = Metric(
        "Sharpness", "image", "of real", "one",
        "Root mean square of the Laplacian within the face over the real frame's.", "Pech-Pacheco et al. 2000", _IMAGE,
    )  # fmt: skip
    metrics["flicker"] = Metric(
        "Flicker", "image", "0..255", "real",
        "Mean absolute second difference over time of all pixels: movement, and what boils on top of it.", _HERE,
        ("video",),
    )  # fmt: skip
    return metrics


def _head() -> dict[str, Metric]:
    def metric(label: str, unit: str, direction: str, definition: str, source: str, *needs: str) -> Metric:
        return Metric(label, "head", unit, direction, definition, source, needs)

    return {
        "head_diversity": metric(
            "Diversity",
            "degrees",
            "real",
            "Standard deviation within a clip of the tracker's pitch, yaw and roll, mean of the three; not of "
            "Hopenet's embeddings.",
            "FD2Talk §4.1, with other features",
            "motion",
        ),
        "beat_align_audio": metric(
            "Beat Align",
            "",
            "higher",
            "How near the nearest beat of the head is to each beat of the sound.",
            "FD2Talk §4.1 (Siyao et al. 2022)",
            "motion",
            "speech",
        ),
        "beat_align_real": metric(
            "BA",
            "",
            "higher",
            "How near the nearest beat of the made head is to each beat of the real head.",
            "DiffPoseTalk §4",
            "motion",
            "real motion",
        ),
        "head_spread": metric(
            "Head spread",
            "of real",
            "one",
            "Standard deviation of the head's rotation within a clip over the real one's.",
            _HERE,
            "motion",
            "real motion",
        ),
        "blink_rate": metric("Blinks", "per minute", "real", "Closings of the lids.", _HERE, "motion"),
    }


def _mesh() -> dict[str, Metric]:
    def metric(label: str, unit: str, direction: str, definition: str, source: str, *needs: str) -> Metric:
        return Metric(label, "mesh", unit, direction, definition, source, needs or _MESH)

    return {
        "lve": metric(
            "LVE", "mm", "lower", "Largest error of a lip vertex in each frame, mean over frames.", "DiffPoseTalk §4"
        ),
        "fdd": metric(
            "FDD",
            "mm",
            "lower",
            "Upper-face dynamics deviation: by how much the standard deviation over time of vertices' displacement "
            "differs from the real one's; absolute value of the clip's mean over vertices.",
            "Xing et al. 2023; DiffPoseTalk §4",
        ),
        "fdd_signed": metric(
            "FDD signed",
            "mm",
            "zero",
            "The same with its sign: above 0 the made face is less lively.",
            "Xing et al. 2023",
        ),
        "mod": metric("MOD", "mm", "lower", "Mean absolute difference of the mouth's opening.", "DiffPoseTalk §4"),
        "lip_sync": metric(
            "Lip-Sync",
            "mm",
            "lower",
            "Dynamic time warping of the lip vertices: mean error along the best path.",
            "Thambiraja et al. 2023 (Imitator); 3DiFACE §6",
        ),
        "lip_max": metric("Lip-max", "mm", "lower", "The same number as LVE under 3DiFACE's name.", "3DiFACE §6"),
        "l2_lip": metric("L2 lip", "mm", "lower", "Mean error of the lip vertices.", "3DiFACE §6"),
        "l2_face": metric("L2 face", "mm", "lower", "Mean error of all vertices.", "3DiFACE §6"),
        "mve": metric("MVE", "mm", "lower", "Mean vertex error: the same number as L2 face.", "3DFacePolicy §4.2"),
        "expression_diversity": metric(
            "Div^E",
            "mm",
            "higher",
            "Mean distance of two samples of one clip: vertices without head motion.",
            "Ren et al. 2022; DiffPoseTalk §4, 3DiFACE §6",
            "motion",
            "repeats",
        ),
        "pose_diversity": metric(
            "Pose diversity",
            "degrees",
            "higher",
            "Mean distance of two samples of one clip: pitch, yaw and roll.",
            "Ren et al. 2022; DiffPoseTalk §4",
            "motion",
            "repeats",
        ),
    }


def _cost() -> dict[str, Metric]:
    def metric(label: str, unit: str, definition: str) -> Metric:
        return Metric(label, "cost", unit, "lower", definition, _HERE, ("system",))

    return {
        "seconds_stage1": metric("Stage one", "s per s", "Seconds for one second of video, one thread."),
        "seconds_stage2": metric("Stage two", "s per s", "Seconds for one second of video, one thread."),
        "memory": metric("Memory", "MiB", "Largest resident set of the processes that made and measured the clips."),
        "parameters_stage1": metric("Parameters, one", "million", "Of stage one's networks."),
        "parameters_stage2": metric("Parameters, two", "million", "Of stage two's networks."),
        "gflop_frame": metric("GFLOP a frame", "GFLOP", "Both stages, counted by operators (two for a multiply-add)."),
    }


CATALOGUE: dict[str, Metric] = {**_sync_video(), **_sync_motion(), **_image(), **_head(), **_mesh(), **_cost()}
"""Key -> metric, in the order in which reports show them."""
