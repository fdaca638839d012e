"""Kills of processes that write.

IMGSEARCH_KILLS is the number of kills: 20 in the quick form, 200 in the full one.
IMGSEARCH_KILL_SEED repeats a run: the changes of pictures and the steps of kills are the same;
kills by the clock are only close.
"""

import os
import random

from tests.conftest import FULL

KILLS = int(os.environ.get("IMGSEARCH_KILLS") or (200 if FULL else 20))
SLOW_KILLS = max(1, KILLS // 40)
"""Kills that take seconds each: of a server, or of a process with a real model.
IMGSEARCH_KILLS=800 has twenty."""
SEED = int(os.environ.get("IMGSEARCH_KILL_SEED") or random.randrange(10**6))
