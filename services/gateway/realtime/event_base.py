"""What every event of the Realtime API is that EVA sends. Pure."""

from __future__ import annotations

import msgspec


class RealtimeEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all of them.

    ``encode`` adds the ``event_id``. What is ``UNSET`` is left out; ``previous_item_id`` is written even
    where it is null.
    """
