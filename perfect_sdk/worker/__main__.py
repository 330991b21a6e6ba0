"""`python -m perfect_sdk.worker FILE|MODULE…` is `perfect worker`."""

import sys

from perfect_sdk.cli import main

sys.exit(main(["worker", *sys.argv[1:]]))
