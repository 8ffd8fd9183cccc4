"""The launcher's command line.

python -m launcher run                 everything that `make run` does
python -m launcher stop                end the embedded services of TESSERA_VAR
python -m launcher scratch COMMAND …   run a command on services of its own that are gone afterwards
"""

import os
import subprocess
import sys
from pathlib import Path

from launcher import embedded, run, scratch
from launcher.errors import LauncherError


def main(arguments: list[str]) -> int:
    """Translate the command line into one call."""
    match arguments:
        case ["run"]:
            return run.main()
        case ["stop"]:
            embedded.stop(Path(os.environ.get("TESSERA_VAR") or run.ROOT / "var"))
            return 0
        case ["scratch", *command] if command:
            return _scratch(command)
        case _:
            print(__doc__, file=sys.stderr)
            return 2


def _scratch(command: list[str]) -> int:
    try:
        with scratch.environment(os.environ) as variables:
            return subprocess.run(command, env=os.environ | variables, check=False).returncode
    except LauncherError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
