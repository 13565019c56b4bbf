"""python -m kvtransfer_torch MODEL: one verdict on a model's moves; see verification.py."""

import sys

from .verification import main

sys.exit(main())
