"""The lock around espeak-ng, which keeps one global state per process.

Piper's phonemizer and the offline voice may share one copy of the library: whoever selects a voice in it
holds this lock until they have what they asked for. Nobody relies on a setting made by somebody else.
"""

from __future__ import annotations

import threading

ESPEAK_LOCK = threading.Lock()
