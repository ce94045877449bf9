"""What commands say on standard error."""

import re


def said(err):
    """The lines, without those by which a slow computer tells how far it is."""
    return [line for line in err.splitlines() if not re.match(r"fd2talk: [\w ]+: \d+ % of \d+ ", line)]
