"""Failures that a user can fix: the command line prints the message, one sentence, and exits with `exit_code`."""


class Fd2TalkError(Exception):
    """A failure that is not a bug, such as a full disk or a failed download; the message is one clear sentence."""

    exit_code = 1


class InputError(Fd2TalkError):
    """An input file cannot be used: it is missing, damaged, silent where speech is needed, or shows no face."""

    exit_code = 2


class FaceNotFoundError(InputError):
    """A photo shows no face that the tracker finds."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "no face found in the photo (a frontal face works best; --face-box LEFT,TOP,RIGHT,BOTTOM locates it; "
            "for drawings pip install 'fd2talk[faces]')"
        )


class UsageError(Fd2TalkError):
    """The request is wrong: the output exists already, a folder does not exist, or options exclude each other."""

    exit_code = 2
