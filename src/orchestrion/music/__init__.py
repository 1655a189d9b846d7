"""Scores in and out of files, their bars, editing and analysis."""

from orchestrion.core.errors import UserError


class ScoreError(UserError):
    """A file or Score that cannot be used; the message says in one line which, why, and what was expected."""
