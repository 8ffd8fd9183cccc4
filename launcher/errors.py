"""What can go wrong at the start, as one plain sentence for the person at the terminal."""


class LauncherError(Exception):
    """Something the operator can repair; the message says what to do."""
