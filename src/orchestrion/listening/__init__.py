"""People hear music and say what they think of it: the store of their answers, and the pages that ask."""

from orchestrion.core.errors import UserError


class StudioError(UserError):
    """A store, an item or an answer that cannot be used; the message says in one line why, and what to do."""
