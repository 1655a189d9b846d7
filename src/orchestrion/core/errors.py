"""The one base of what a user can put right."""


class UserError(ValueError):
    """A mistake or lack on the user's side: its message is one line that says what was wrong and what to do.

    Every room's error class derives from it, so that the command line shows these as a line and bugs as a traceback.
    """
