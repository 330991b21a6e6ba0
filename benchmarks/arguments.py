"""Types of command line arguments, with the refusals that `argparse` prints."""

import argparse


def whole(text: str) -> int:
    """A number of things, 1 at least."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
