"""The systems of `fd2talk evaluate` whose weights are bundled."""

from fd2talk.evaluation.system_names import SYSTEMS, motion_weights
from shared.errors import InputError


def _has_weights(name):
    try:
        motion_weights(name, "bundled")
    except InputError:
        return False
    return True


RUNNABLE = [name for name in SYSTEMS if _has_weights(name)]
