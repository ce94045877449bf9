"""Systems of `fd2talk evaluate` by name: what each is made of."""

from __future__ import annotations

from pathlib import Path

from shared.errors import InputError
from shared.weights import bundled
from stage2_render import DEFAULT_RENDERER

MOTION_MODELS = {
    "diffposetalk": "DiffPoseTalk",
    "diface": "3DiFACE",
    "facepolicy": "3DFacePolicy",
    "ridge": "Ridge regression from log-mel energies",
}
"""Motion model of the registry -> what it is called; each is a system, and so is NAME-network, its network alone."""

_OF_ANOTHER_CLIP = (
    "; the style is that of another clip of the person, of people with one clip that of its first half (none where "
    "that is under a second)"
)

SYSTEMS = {
    "bundled": "Both stages with the bundled weights, from the clip's first frame and its speech alone.",
    "warp": "The bundled motion rendered by the mesh warp.",
    "static": "The photo in every frame: the score of generating nothing.",
    "shuffled-audio": "The bundled system with another person's speech: the chance level of sync metrics.",
    **{
        model: f"{title} as motion model, rendered as by the bundled system"
        f"{_OF_ANOTHER_CLIP if model == 'diffposetalk' else ''}."
        for model, title in MOTION_MODELS.items()
    },
    "diffposetalk-no-style": "DiffPoseTalk without a style.",
    "diffposetalk-own-style": "DiffPoseTalk with the style of the clip itself: it leaks what is to be predicted.",
    "driven": "The reference's own tracked motion, rendered from its first frame: the renderer alone.",
    "driven-warp": "The same motion, rendered by the mesh warp.",
    "driven-diffusion": "The same motion, rendered by the diffusion renderer.",
    "ground-truth": "The reference face tracked, and encoded and decoded by the diffusion renderer's autoencoder, with "
    "the first frame as reference: the loss of tracker and autoencoder alone, without generated motion or images.",
    "bundled-network": "The bundled motion model's network alone, without the rules that act on its motion afterwards "
    "(rest in pauses, lip closure, blinks, gaze, ease); motion only.",
    **{
        f"{model}-network": f"{title} alone, without these rules; motion only."
        for model, title in MOTION_MODELS.items()
    },
}
"""Name -> title."""

NETWORK_ALONE = {"bundled-network": ("bundled", "warp"), **{f"{model}-network": (model,) for model in MOTION_MODELS}}
"""System of motion alone, without rules -> the systems that have the same motion model."""

STYLED = ("diffposetalk", "diffposetalk-network", "diffposetalk-own-style")
"""Systems whose motion has the style of a clip."""

TRACKED = ("driven", "driven-warp", "driven-diffusion", "ground-truth")
"""Systems with the motion of the reference."""

WITHOUT_SPEECH = ("static", *TRACKED)
"""Systems that generate nothing from speech: they need no sound, and every seed gives the same clip."""

WITHOUT_NETWORKS = ("static", "warp", "driven-warp")
"""Systems whose frames are rendered without a network."""

WITH_DIFFUSION = ("driven-diffusion", "ground-truth")
"""Systems with the networks of the diffusion renderer."""


def motion_model(name: str) -> str | None:
    """Key of `MOTION_MODELS`, "bundled" for the model of the weights that are run, None without a motion model."""
    if name in WITHOUT_SPEECH:
        return None
    return next((model for model in MOTION_MODELS if name == model or name.startswith(f"{model}-")), "bundled")


def motion_weights(name: str, weights: str) -> str | None:
    """Return the weights folder of a system's motion model; None: it has no motion model.

    Args:
        name: the system.
        weights: `bundled` or a folder. A system that is called after a motion model has the folder's weights if they
            are of this model, else the bundled ones.
    """
    model = motion_model(name)
    if model in (None, "bundled"):
        return weights if model else None
    return weights if weights != "bundled" and _model_of(weights) == model else str(bundled(model))


def renderer_of(name: str) -> str:
    """Return the renderer of a system with networks."""
    return "diffusion" if name in WITH_DIFFUSION else DEFAULT_RENDERER


def _model_of(folder: str) -> str | None:
    """The motion model of a folder of weights, if it has one."""
    from stage1_motion.model_settings import read_settings  # the command line's help lists systems without it

    try:
        return read_settings(Path(folder))["model"]
    except InputError:
        return None
