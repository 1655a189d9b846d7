"""A Score as sound and as picture."""


class RenderError(ValueError):
    """Music that cannot be rendered; the message says in one line why, and what to do."""
