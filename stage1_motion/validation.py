"""What trainings of motion models are validated by: lips and head of generated motion against real motion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from shared.metrics.lips import best_lag_correlation
from stage1_motion.motion_space import MotionSpace


def validation_figures(space: MotionSpace, pairs: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Figures of the lip gap and the head.

    Args:
        space: of the motion.
        pairs: person, generated and real motion [T, D] or [T, D + 6] in the motion space, of clip after clip.

    Returns:
        "r", the mean over people of the correlation at the best lag within two frames; medians over people of "spread"
        and "speed" (over real), "level" (distance of the means, mm) and, where the head moves, "head_speed" of the
        rotation and "head_trembling", the mean second difference of the translation, both over real; "score".
    """
    row, count = space.gap_row(), len(space.expression_std)
    people: dict[str, list[list[float]]] = defaultdict(list)
    for person, made, real in pairs:
        gaps = [motion[:, :count] @ row for motion in (made, real)]
        speeds = [np.abs(np.diff(gap)).mean() for gap in gaps]
        r = best_lag_correlation(gaps[0], gaps[1], max_lag=2)[0]
        figures = [r, gaps[0].std() / gaps[1].std(), speeds[0] / speeds[1], abs(gaps[0].mean() - gaps[1].mean())]
        if made.shape[1] > count:
            turns = [np.abs(np.diff(motion[:, count : count + 3], axis=0)).mean() for motion in (made, real)]
            places = [motion[:, count + 3 : count + 6] * space.pose_std[3:] for motion in (made, real)]
            shakes = [np.linalg.norm(np.diff(place, 2, axis=0), axis=1).mean() for place in places]
            figures += [turns[0] / turns[1], shakes[0] / shakes[1]]
        people[person].append(figures)
    values = np.array([np.mean(of_person, axis=0) for of_person in people.values()])
    names = ("r", "spread", "speed", "level", "head_speed", "head_trembling")
    found = dict(zip(names, [float(values[:, 0].mean()), *map(float, np.median(values, axis=0)[1:])]))
    return {"score": found["r"] - 0.25 * abs(float(np.log(found["spread"]))), **found}
