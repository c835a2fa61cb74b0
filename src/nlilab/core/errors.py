"""The one exception that means: the user can mend this, so show the sentence and no traceback."""


class UserError(Exception):
    """A mistake of the user or of the surroundings: says what was got, what was expected, and what to do."""
