"""Speaking style: the vector that a style encoder reads off a clip and a motion model takes as conditioning."""

from stage1_motion.style.style import Style

__all__ = ["Style"]
