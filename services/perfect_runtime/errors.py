"""What keeps a system or a service from starting. The message is for the person who typed the command."""

from perfect_schemas.errors import Failed


class CannotStart(Failed):
    """What happened, to what, and what to do, in one or two sentences."""

    title = "Cannot start"
