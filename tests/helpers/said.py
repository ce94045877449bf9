"""What commands say on standard error."""

import re

_HOW_FAR = re.compile(r"fd2talk: [\w ]+(: \d+( % of \d+)? \w+| \.\.\.)")


def said(err):
    """The lines, without those by which a slow computer tells how far it is (`fd2talk.progress`)."""
    return [line for line in err.splitlines() if not _HOW_FAR.fullmatch(line)]
