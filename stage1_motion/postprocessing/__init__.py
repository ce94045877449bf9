"""Rules that act on motion after a model has generated it: each a named step with a switch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PostProcessing:
    """Which steps run.

    Args:
        rest: where nobody speaks the mouth rests, closed (`postprocessing.rest`).
        lip_closure: lips meet on b, p and m (`postprocessing.lip_closure`).
        blinks: blinks at the rate of filmed people (`postprocessing.eyes`).
        gaze: fixations and the jumps between them (`postprocessing.eyes`).
        ease: motion begins where the photo is and returns there in the silence at the end (`postprocessing.ease`).
        listening: nods, gaze and smiles for another speaker whom a stream listens to (`streaming.listening`).
    """

    rest: bool = True
    lip_closure: bool = True
    blinks: bool = True
    gaze: bool = True
    ease: bool = True
    listening: bool = True

    def __and__(self, other: PostProcessing) -> PostProcessing:
        """The steps that are on in both: what suits a model and what a user left on."""
        return PostProcessing(**{name: on and getattr(other, name) for name, on in vars(self).items()})


NO_RULES = PostProcessing(rest=False, lip_closure=False, blinks=False, gaze=False, ease=False, listening=False)
"""The motion as the network alone generates it."""
