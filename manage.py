#!/usr/bin/env python
"""Django's command line, on the services of `TESSERA_VAR`.

They are used when they run, and started for the command's own duration when they do not;
`DATABASE_URL` and `REDIS_URL`, where set, come first.
"""

import os
import sys
from pathlib import Path

from launcher import embedded
from launcher.errors import LauncherError

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Run a management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    var = Path(os.environ.setdefault("TESSERA_VAR", str(ROOT / "var"))).resolve()
    try:
        with embedded.session(var) as services:
            os.environ.update(services.environment())
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    except LauncherError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
