"""Checkpoints in Redis: the `SlotStore` contract as two hashes per slot and two Lua scripts.

Keys of slot p, all under one hash tag so that a Redis Cluster keeps them together:

    {<namespace>:p}:active           string  number of the generation in use; absent means 0
    {<namespace>:p}:g<n>:board       hash    board fields, and @format @owner @epoch @seq @version @offsets
    {<namespace>:p}:g<n>:entities    hash    entity fields, and @seq
    {<namespace>}:meta               hash    format, slots, version, definition, generation
    <namespace>:changes              channel msgpack of each `BoardChange` of an active generation

Both hashes carry the same @seq. When they disagree, one was lost (evicted, deleted by hand), and
what remains is worth nothing: a claim then starts from nothing. State of a foreign @version is never
claimed, and none of another @format: whatever a later release arranges anew, these names, `meta` and its
`format` stay where they are, so that this one sees it. `meta` says which generation and version readers
show, and what that version means; it is written in one step, after every slot's `active`.
A script runs whole or not at all: Redis refuses a script for memory, role or disk at its first write
and never at a later one.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain

import msgspec
from redis.asyncio.client import PubSub

from streams.redis_address import address_of
from streams.stores.base import (
    NO_MARK,
    STORE_FORMAT,
    Board,
    BoardChange,
    Claim,
    Commit,
    ForeignFormat,
    ForeignState,
    GenerationInUse,
    Mark,
    Outcome,
    Shown,
    SlotImage,
    StoreMisconfigured,
    StoreUnavailable,
)
from streams.stores.redis_client import ask, ask_all, check, connect, translated

# KEYS active, board, entities
# ARGV generation, must it be the active one ('1') or another ('0'), version, random part, format
# -> 'MOVED', active generation | 'FORMAT', its format | 'FOREIGN', its version
#    | 'CLAIMED', owner, seq, stale, offsets
_CLAIM = """
local active = redis.call('GET', KEYS[1]) or '0'
if (active == ARGV[1]) ~= (ARGV[2] == '1') then return {'MOVED', active} end
local board = redis.call('HMGET', KEYS[2], '@epoch', '@seq', '@version', '@offsets', '@format')
if board[5] and board[5] ~= ARGV[5] then return {'FORMAT', board[5]} end
local entities_seq = redis.call('HGET', KEYS[3], '@seq')
if board[2] and board[2] ~= '0' and board[3] ~= ARGV[3] then return {'FOREIGN', board[3] or ''} end
local seq, offsets, stale = board[2], board[4], '0'
if board[2] ~= entities_seq then stale = '1' end
if stale == '1' or not seq or seq == '0' then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[2], '@seq', '0', '@version', ARGV[3])
  redis.call('HSET', KEYS[3], '@seq', '0')
  seq, offsets = '0', false
end
local epoch = string.format('%d', tonumber(board[1] or '0') + 1)
local owner = epoch .. '-' .. ARGV[4]
redis.call('HSET', KEYS[2], '@owner', owner, '@epoch', epoch, '@format', ARGV[5])
return {'CLAIMED', owner, seq, stale, offsets or ''}
"""

# KEYS meta   ARGV slots, version, definition, whatever is shown now ('1'), format
# -> 'SHOWN', version shown then | 'FORMAT', its format
_ANNOUNCE = """
local format = redis.call('HGET', KEYS[1], 'format')
if format and format ~= ARGV[5] then return {'FORMAT', format} end
local shown = redis.call('HGET', KEYS[1], 'version')
if shown and shown ~= ARGV[2] and ARGV[4] ~= '1' then return {'SHOWN', shown} end
redis.call('HSET', KEYS[1], 'slots', ARGV[1], 'version', ARGV[2], 'definition', ARGV[3], 'format', ARGV[5])
return {'SHOWN', ARGV[2]}
"""

# KEYS as for a claim   ARGV generation, must it be active, owner, seq, seq + 1, offsets, channel, change,
# version, format, number of arguments to set and to delete in the board, then in the entities, then those
# arguments
_COMMIT = """
local active = redis.call('GET', KEYS[1]) or '0'
if (active == ARGV[1]) ~= (ARGV[2] == '1') then return 'FENCED' end
local board = redis.call('HMGET', KEYS[2], '@owner', '@seq', '@version', '@format')
if not board[1] then return 'ROLLED_BACK' end
-- The owner alone tells; version and format are compared too, so that no mistake elsewhere can mix two.
if board[1] ~= ARGV[3] or board[3] ~= ARGV[9] or (board[4] or ARGV[10]) ~= ARGV[10] then return 'FENCED' end
if board[2] ~= redis.call('HGET', KEYS[3], '@seq') then return 'ROLLED_BACK' end
if board[2] == ARGV[5] then return 'ALREADY_DONE' end
if board[2] ~= ARGV[4] then return 'ROLLED_BACK' end
local unpack = unpack or table.unpack
local at = 15
local function each(command, key, count)
  local stop = at + tonumber(count) - 1
  while at <= stop do
    local last = math.min(at + 3999, stop)  -- Lua unpacks at most about 8000; even, so pairs stay whole
    redis.call(command, key, unpack(ARGV, at, last))
    at = last + 1
  end
end
redis.call('HSET', KEYS[2], '@seq', ARGV[5], '@offsets', ARGV[6])
redis.call('HSET', KEYS[3], '@seq', ARGV[5])
each('HSET', KEYS[2], ARGV[11])
each('HDEL', KEYS[2], ARGV[12])
each('HSET', KEYS[3], ARGV[13])
each('HDEL', KEYS[3], ARGV[14])
if active == ARGV[1] then redis.call('PUBLISH', ARGV[7], ARGV[8]) end
return 'DONE'
"""

# KEYS active, board   ARGV generation, owner and seq that must stand in it or ""   -> 1 if it is in use now
_ACTIVATE = """
local active, generation = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])
if active >= generation then return active == generation and 1 or 0 end
local board = redis.call('HMGET', KEYS[2], '@owner', '@seq')
if ARGV[2] ~= '' and (board[1] ~= ARGV[2] or board[2] ~= ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""

# KEYS as for a claim   ARGV generation   -> gone: 1, or 0 for the one in use
_DISCARD = """
if (redis.call('GET', KEYS[1]) or '0') == ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[2], KEYS[3])
return 1
"""

# A subscription silent for this long is asked for a sign of life; silent as long again, it is given up.
_SILENCE_SECONDS = 5.0
# Fields per step of loading entities: small enough that Redis serves others in between.
_SCAN_FIELDS = 5000
# A switch of generation between two reads is rare; three in a row is not a switch.
_MOVES_MAX = 3
_IMAGE_TRIES = 3

_pack_offsets = msgspec.msgpack.Encoder().encode
_unpack_offsets = msgspec.msgpack.Decoder(dict[str, int]).decode
_pack_change = msgspec.msgpack.Encoder().encode
_unpack_change = msgspec.msgpack.Decoder(BoardChange).decode


class RedisStore:
    """`generation` None follows the active generation; a number reads that one, and writes it until it is."""

    def __init__(self, url: str, *, namespace: str, version: str, generation: int | None = None) -> None:
        self._url = url
        self._namespace = namespace
        self._version = version
        self._generation = generation
        self._seen: dict[int, int] = {}  # slot -> generation that was active when last looked at
        self._channel = f"{namespace}:changes"
        self._address = address_of(url)
        try:
            self._redis = connect(url)
            # `follow` asks for signs of life itself and must see each answer.
            self._subscriber = connect(url, health_check_seconds=0)
        except ValueError as error:
            raise StoreMisconfigured(f"The Redis address {self._address} cannot be used: {error}") from error
        self._claim = self._redis.register_script(_CLAIM)
        self._announce = self._redis.register_script(_ANNOUNCE)
        self._commit = self._redis.register_script(_COMMIT)
        self._activate = self._redis.register_script(_ACTIVATE)
        self._discard = self._redis.register_script(_DISCARD)

    async def claim(self, slot: int) -> Claim:
        random_part = secrets.token_hex(8)
        for _ in range(_MOVES_MAX):
            generation = await self._current(slot)
            with translated(self._address):
                reply: list[bytes] = await self._claim(
                    keys=self._keys(slot, generation),
                    args=[generation, self._must_be_active, self._version, random_part, STORE_FORMAT],
                )
            if reply[0] == b"CLAIMED":
                return await self._load(slot, generation, reply)
            if reply[0] == b"FORMAT":
                raise ForeignFormat(int(reply[1]))
            if reply[0] == b"FOREIGN":
                raise ForeignState(reply[1].decode())
            if self._generation is not None:
                raise GenerationInUse(self._generation)
            self._seen[slot] = int(reply[1])
        raise StoreUnavailable(f"Redis at {self._address}: slot {slot} is being switched to a new generation")

    async def _load(self, slot: int, generation: int, claimed: list[bytes]) -> Claim:
        _, owner, seq, stale, offsets = claimed
        _, board_key, entities_key = self._keys(slot, generation)
        with translated(self._address):
            board: dict[bytes, bytes] = await ask(self._redis, "HGETALL", board_key)
            entities = await self._scan(entities_key)
            # While the owner stands, nobody else writes; so both reads are of one image.
            stands: list[bytes | None] = await ask(self._redis, "HMGET", board_key, "@owner", "@seq")
        if stands != [owner, seq]:
            raise StoreUnavailable(f"Redis at {self._address}: slot {slot} changed hands while it was loaded")
        return Claim(
            owner=owner.decode(),
            seq=int(seq),
            offsets=_unpack_offsets(offsets) if offsets else {},
            board=_without_meta(board),
            entities=_without_meta(entities),
            stale=stale == b"1",
        )

    async def read_image(self, slot: int) -> SlotImage:
        for _ in range(_IMAGE_TRIES):
            board = await self.read_board(slot)
            _, _, entities_key = self._keys(slot, await self._current(slot))
            with translated(self._address):
                entities = await self._scan(entities_key)
            if await self.read_mark(slot) == board.mark:
                return SlotImage(board, _without_meta(entities))
        # A slot that is written all the time stands still for one transaction, and Redis with it.
        _, board_key, entities_key = self._keys(slot, await self._current(slot))
        with translated(self._address):
            fields, entities = await ask_all(self._redis, ("HGETALL", board_key), ("HGETALL", entities_key))
        return SlotImage(_board_of(fields), _without_meta(entities))

    async def _scan(self, key: str) -> dict[bytes, bytes]:
        fields: dict[bytes, bytes] = {}
        cursor = 0
        while True:
            some: dict[bytes, bytes]
            cursor, some = await ask(self._redis, "HSCAN", key, cursor, "COUNT", _SCAN_FIELDS)
            fields.update(some)
            if cursor == 0:
                return fields

    async def commit(self, slot: int, commit: Commit) -> Outcome:
        generation = await self._current(slot)
        change = BoardChange(
            slot=slot,
            seq=commit.seq + 1,
            offsets=commit.offsets,
            set=commit.board_set,
            delete=commit.board_del,
            owner=commit.owner,
        )
        args: list[bytes | str | int] = [
            generation, self._must_be_active, commit.owner, commit.seq, commit.seq + 1,
            _pack_offsets(commit.offsets), self._channel, _pack_change(change), self._version, STORE_FORMAT,
            2 * len(commit.board_set), len(commit.board_del),
            2 * len(commit.entities_set), len(commit.entities_del),
            *chain.from_iterable(commit.board_set.items()), *commit.board_del,
            *chain.from_iterable(commit.entities_set.items()), *commit.entities_del,
        ]  # fmt: skip
        with translated(self._address):
            reply: bytes = await self._commit(keys=self._keys(slot, generation), args=args)
        return Outcome[reply.decode()]

    async def read_board(self, slot: int) -> Board:
        fields: dict[bytes, bytes] = {}
        for _ in range(_MOVES_MAX):
            generation = await self._current(slot)
            active_key, board_key, _ = self._keys(slot, generation)
            with translated(self._address):
                active, fields = await ask_all(self._redis, ("GET", active_key), ("HGETALL", board_key))
            if self._holds(slot, generation, active):
                break
        return _board_of(fields)

    async def read_mark(self, slot: int) -> Mark:
        generation = await self._current(slot)
        active_key, board_key, _ = self._keys(slot, generation)
        with translated(self._address):
            active, (owner, seq) = await ask_all(
                self._redis, ("GET", active_key), ("HMGET", board_key, "@owner", "@seq")
            )
        if not self._holds(slot, generation, active):
            return (await self.read_board(slot)).mark
        return Mark(owner.decode(), int(seq)) if owner else NO_MARK

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[BoardChange]]:
        pubsub = self._subscriber.pubsub()
        try:
            with translated(self._address):
                await pubsub.subscribe(self._channel)
                first = await pubsub.get_message(timeout=_SILENCE_SECONDS)
            if first is None:
                raise StoreUnavailable(f"Redis at {self._address} does not confirm the subscription")
            yield self._changes(pubsub)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _changes(self, pubsub: PubSub) -> AsyncIterator[BoardChange]:
        asked = False
        while True:
            with translated(self._address):
                message = await pubsub.get_message(timeout=_SILENCE_SECONDS)
                if message is None and not asked:
                    await pubsub.ping()
            if message is None and asked:
                raise StoreUnavailable(f"Redis at {self._address} is silent")
            asked = message is None
            if message is None or message["type"] == "pong":
                continue
            if message["type"] != "message":
                # The client connected anew by itself; what was published meanwhile is missing.
                raise StoreUnavailable(f"Redis at {self._address}: the subscription was interrupted")
            yield _unpack_change(message["data"])

    async def check(self, *, require_noeviction: bool = True) -> list[str]:
        """Return warnings about this Redis; raise when it would drop state in normal operation."""
        return await check(self._redis, self._address, require_noeviction=require_noeviction)

    async def announce(self, shown: Shown, *, whatever: bool = False) -> str:
        args: list[str | int] = [
            shown.slots,
            shown.version,
            shown.definition,
            int(whatever),
            shown.format,
        ]
        with translated(self._address):
            reply: list[bytes] = await self._announce(keys=[self._meta_key], args=args)
        if reply[0] == b"FORMAT":
            raise ForeignFormat(int(reply[1]))
        return reply[1].decode()

    async def show(self, shown: Shown) -> None:
        fields: list[str | int] = [
            "slots", shown.slots, "version", shown.version, "definition", shown.definition,
            "format", shown.format,
        ]  # fmt: skip
        if shown.generation is not None:
            fields += ["generation", shown.generation]
        with translated(self._address):
            await ask(self._redis, "HSET", self._meta_key, *fields)

    async def shown(self) -> Shown | None:
        with translated(self._address):
            found: list[bytes | None] = await ask(
                self._redis, "HMGET", self._meta_key, "slots", "version", "definition", "generation", "format"
            )
        slots, version, definition, generation, format_ = found
        if not slots and not format_:
            return None
        return Shown(
            slots=int(slots or 0),
            version=(version or b"").decode(),
            definition=(definition or b"").decode(),
            generation=None if generation is None else int(generation),
            format=int(format_ or 1),
        )

    def of_generation(self, generation: int | None, *, version: str) -> "RedisStore":
        return RedisStore(self._url, namespace=self._namespace, version=version, generation=generation)

    async def slots(self) -> int:
        """Return the announced number of slots, 0 when no worker has ever started."""
        shown = await self.shown()
        return 0 if shown is None else shown.slots

    async def active_generation(self, slot: int) -> int:
        with translated(self._address):
            return int(await ask(self._redis, "GET", self._keys(slot, 0)[0]) or 0)

    async def active_generations(self, slots: int) -> list[int]:
        with translated(self._address):
            async with self._redis.pipeline(transaction=False) as pipe:
                for slot in range(slots):
                    pipe.execute_command("GET", self._keys(slot, 0)[0])
                found: list[bytes | None] = await pipe.execute()
        return [int(generation or 0) for generation in found]

    async def version_of(self, slot: int) -> str:
        board_key = self._keys(slot, await self._current(slot))[1]
        with translated(self._address):
            version: bytes | None = await ask(self._redis, "HGET", board_key, "@version")
        return (version or b"").decode()

    async def activate(self, slot: int, generation: int, left: Mark | None = None) -> bool:
        owner, seq = ("", "") if left is None else (left.owner, str(left.seq))
        active_key, board_key, _ = self._keys(slot, generation)
        with translated(self._address):
            return bool(await self._activate(keys=[active_key, board_key], args=[generation, owner, seq]))

    async def discard(self, slot: int, generation: int) -> bool:
        with translated(self._address):
            return bool(await self._discard(keys=self._keys(slot, generation), args=[generation]))

    async def close(self) -> None:
        await self._redis.aclose()
        await self._subscriber.aclose()

    @property
    def _meta_key(self) -> str:
        return f"{{{self._namespace}}}:meta"

    @property
    def _must_be_active(self) -> str:
        return "1" if self._generation is None else "0"

    def _keys(self, slot: int, generation: int) -> tuple[str, str, str]:
        tag = f"{{{self._namespace}:{slot}}}"
        return f"{tag}:active", f"{tag}:g{generation}:board", f"{tag}:g{generation}:entities"

    async def _current(self, slot: int) -> int:
        """Return the generation to work on, as last seen; scripts and reads check it."""
        if self._generation is not None:
            return self._generation
        if slot not in self._seen:
            self._seen[slot] = await self.active_generation(slot)
        return self._seen[slot]

    def _holds(self, slot: int, generation: int, active: bytes | None) -> bool:
        """Say whether a read went to the right generation; if not, the next one will."""
        if self._generation is not None or int(active or 0) == generation:
            return True
        self._seen[slot] = int(active or 0)
        return False


def _board_of(fields: dict[bytes, bytes]) -> Board:
    return Board(
        seq=int(fields.get(b"@seq", 0)),
        offsets=_unpack_offsets(fields[b"@offsets"]) if b"@offsets" in fields else {},
        version=fields.get(b"@version", b"").decode(),
        owner=fields.get(b"@owner", b"").decode(),
        fields=_without_meta(fields),
    )


def _without_meta(fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in fields.items() if name[:1] != b"@"}
