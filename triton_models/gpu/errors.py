"""What can't be laid out."""


class CannotLayOut(RuntimeError):
    """The parts do not make a version of a model; the message says what would be right."""
