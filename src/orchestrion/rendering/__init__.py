"""A Score as sound and as picture."""

from orchestrion.core.errors import UserError


class RenderError(UserError):
    """Music that cannot be rendered; the message says in one line why, and what to do."""
