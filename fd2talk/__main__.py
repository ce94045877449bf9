"""`python -m fd2talk`."""

import sys

from fd2talk.cli import main

sys.exit(main())
