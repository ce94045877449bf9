"""Checks of photos, sound and clips, under the name by which the studio's modules import them."""

from fd2talk.media_checks import check_clip, check_pixels, named, read_speech

__all__ = ["check_clip", "check_pixels", "named", "read_speech"]
