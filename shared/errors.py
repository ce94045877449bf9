"""Errors that a user can meet: one clear sentence each; the command line prints it and exits with `exit_code`."""


class Fd2TalkError(Exception):
    """Something went wrong that the user can understand; the message is one sentence."""

    exit_code = 1


class InputError(Fd2TalkError):
    """What the user gave cannot be used: a broken file, no face, no sound."""

    exit_code = 2


class UsageError(Fd2TalkError):
    """The command or a configuration was written wrongly."""

    exit_code = 2
