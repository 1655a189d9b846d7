"""Active learning: a system asks people about the phrases that its discriminator is unsure of, and learns from what
they say (Su et al. 2021, section II.C and figure 2)."""

from orchestrion.core.errors import UserError


class ActiveError(UserError):
    """A round that cannot be asked or learned from; the message says in one line why, and what to do."""
