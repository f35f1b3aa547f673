"""`python -m taproom` is the command `taproom`."""

import sys

from taproom.client.command_line import main

if __name__ == "__main__":
    sys.exit(main())
