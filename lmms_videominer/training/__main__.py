"""``python -m lmms_videominer.training CONFIG.yaml [--SETTING VALUE ...]``: one run of T-GRPO.

Works the same under ``torchrun``, ``accelerate launch`` and ``deepspeed``, with as many processes as they start.
"""

from __future__ import annotations

import sys

from lmms_videominer.training.run import main

if __name__ == "__main__":
    sys.exit(main())
