"""``python -m lmms_videominer`` is the ``videominer`` command."""

import sys

from lmms_videominer.cli import main

# world rendering spawns processes that import this module again
if __name__ == "__main__":
    sys.exit(main())
