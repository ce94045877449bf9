import numpy as np
from scipy.optimize import lsq_linear

from shared.bounded_fit import bounded_fit


def test_the_solution_is_that_of_a_solver_that_takes_one_frame_at_a_time():
    random = np.random.default_rng(0)
    shapes, targets = random.normal(size=(5, 9)), random.normal(0, 2, (6, 9))
    prior, strength = random.uniform(0, 1, (6, 5)), 0.7
    found = bounded_fit(shapes, targets, prior, strength)
    stacked = np.concatenate([shapes.T, np.sqrt(strength) * np.eye(5)])
    for frame in range(6):
        aim = np.concatenate([targets[frame], np.sqrt(strength) * prior[frame]])
        np.testing.assert_allclose(found[frame], lsq_linear(stacked, aim, (0, 1)).x, atol=1e-5)
    assert found.min() == 0 and found.max() == 1  # both bounds are reached
