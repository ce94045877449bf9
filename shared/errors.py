"""What can go wrong in a way that a user can mend. The command line prints the sentence and exits with `exit_code`."""


class Fd2TalkError(Exception):
    """Something failed that is not a bug: a full disk, a missing download. The message is one clear sentence."""

    exit_code = 1


class InputError(Fd2TalkError):
    """A file that was given cannot be used: missing, broken, silent where sound is needed, without a face."""

    exit_code = 2


class UsageError(Fd2TalkError):
    """The request itself is wrong: an existing output, a folder that is not there, options that exclude each other."""

    exit_code = 2
