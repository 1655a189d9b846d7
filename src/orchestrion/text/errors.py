"""The error of a sentence or option that cannot be met."""

from __future__ import annotations

from orchestrion.core.errors import UserError


class ControlsError(UserError):
    """A sentence that contradicts itself, or an option that cannot be met; the message is one line for the user."""
