"""``eva keys``: makes, lists and revokes the API keys that a gateway asks for.

They are kept at the broker, so the command speaks to it: to the one that ``EVA_NATS_URL`` names, to that of
an EVA which runs on the data directory, or else to that EVA's own, started for the moment.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from eva.broker import Broker, running_broker
from eva.output import columns, progress, result, result_json
from shared.bus import Bucket, Conflict
from shared.bus.nats import connect
from shared.errors import BadInput
from shared.keys import (
    KEY_PREFIX,
    KEYS_BUCKET,
    KeyLimits,
    KeyRecord,
    find_record,
    new_secret,
    pack_record,
    read_record,
    record_of,
)
from shared.settings import CommonSettings


@contextlib.asynccontextmanager
async def stored_keys(data_dir: Path) -> AsyncIterator[Bucket]:
    """Opens the bucket of keys. Raises ``BusDown``, ``CannotStart``."""
    async with contextlib.AsyncExitStack() as stack:
        settings = CommonSettings.read(data_dir=data_dir)
        url, user = settings.nats_url, settings.nats_user
        password = settings.nats_password.get_secret_value()
        if "nats_url" not in settings.model_fields_set:
            found = running_broker(data_dir)
            if found is None:
                broker = Broker(data_dir)
                url = await broker.start()
                stack.push_async_callback(broker.stop)
                user, password = broker.user, broker.password
            else:
                url, user, password = found
        bus = await connect(url, name="eva-keys", user=user, password=password)
        stack.push_async_callback(bus.close)
        yield await bus.bucket(KEYS_BUCKET, ttl_s=0)


async def read_all(bucket: Bucket) -> list[KeyRecord]:
    """Returns all records, the oldest first. Raises ``BusDown``."""
    read = [await bucket.get(key_id) for key_id in await bucket.keys()]
    records = [record for data in read if data is not None and (record := read_record(data)) is not None]
    return sorted(records, key=lambda record: record.created_at)


async def add(data_dir: Path, name: str, limits: KeyLimits, *, is_json: bool) -> None:
    """Makes a key and shows it, once. Raises ``BadInput`` for a name in use."""
    secret = new_secret(KEY_PREFIX)
    record = record_of(secret, name, limits=limits, now=time.time())
    async with stored_keys(data_dir) as bucket:
        if any(other.name == name and not other.revoked_at for other in await read_all(bucket)):
            raise BadInput(f"there is a key called {name!r}: choose another name, or revoke that one")
        await bucket.create(record.id, pack_record(record))
    if is_json:
        result_json({"id": record.id, "name": name, "key": secret})
        return
    result(secret)
    progress(f"This is the key of {name!r} ({record.id}). It is shown once: EVA keeps its hash alone.")


async def show(data_dir: Path, *, is_json: bool) -> None:
    """Lists all keys."""
    async with stored_keys(data_dir) as bucket:
        records = await read_all(bucket)
    if is_json:
        hidden = {"digest"}
        result_json(
            [{k: v for k, v in msgspec.to_builtins(record).items() if k not in hidden} for record in records]
        )
        return
    if not records:
        progress("There are no keys: eva keys add NAME makes one.")
        return
    for line in columns([["id", "name", "made", "state", "limits"], *map(_row, records)]):
        result(line)


async def revoke(data_dir: Path, name_or_id: str) -> None:
    """Ends a key. Raises ``BadInput`` if none or several are meant."""
    async with stored_keys(data_dir) as bucket:
        while True:
            record = find_record(await read_all(bucket), name_or_id)
            entry = await bucket.get_entry(record.id)
            revoked = msgspec.structs.replace(record, revoked_at=time.time())
            with contextlib.suppress(Conflict):
                if entry is not None:
                    await bucket.update(record.id, pack_record(revoked), entry.revision)
                    break
    progress(f"{record.name!r} ({record.id}) is revoked; what goes on with it ends within seconds.")


def _row(record: KeyRecord) -> list[str]:
    made = datetime.fromtimestamp(record.created_at, UTC).strftime("%Y-%m-%d")
    return [record.id, record.name, made, "revoked" if record.revoked_at else "holds", _limits(record.limits)]


def _limits(limits: KeyLimits) -> str:
    parts = [
        f"{limits.sessions} at a time" if limits.sessions else "",
        f"{limits.audio_s_per_day:g} s of sound a day" if limits.audio_s_per_day else "",
        f"{limits.tokens_per_min} tokens a minute" if limits.tokens_per_min else "",
    ]
    return ", ".join(filter(None, parts)) or "none"
