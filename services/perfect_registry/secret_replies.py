"""The commands about secrets: `perfect.cmd.registry.{save_secret, load_secret, remove_secret, secrets}`.

They are kept sealed in the KV bucket `SECRETS`, one key a name. A value leaves it only for a client that executes a run
just now; nothing here logs one or puts it into an error.
"""

from datetime import datetime
from typing import Any

import msgspec
from nats.js.errors import BucketNotFoundError, NotFoundError

from perfect_bus.outbox import WRONG_LAST_SEQUENCE
from perfect_registry import variables
from perfect_runtime.answers import Answers
from perfect_runtime.sealing import KEY_FILE, Seal, seal_of, seal_with
from perfect_runtime.service import Context
from perfect_schemas import subjects
from perfect_schemas.codec import UnknownEvent, encode
from perfect_schemas.commands import (
    Done,
    LoadSecret,
    RemoveSecret,
    Reply,
    SaveSecret,
    SecretValue,
    SecretView,
)
from perfect_schemas.errors import Conflicting, Failed, FieldError, InvalidInput, NotFound, Rejected, refuse
from perfect_schemas.folds.history import History
from perfect_schemas.ids import is_id
from perfect_schemas.states import FINAL_TASK_STATES, RunState

STREAM = f"KV_{subjects.SECRETS}"
VALUE_BYTES = 64 * 1024
ATTEMPTS = 10
_EXECUTES = frozenset({RunState.RUNNING, RunState.CANCELLING})
_decode_save = msgspec.json.Decoder(SaveSecret).decode
_decode_load = msgspec.json.Decoder(LoadSecret).decode
_decode_remove = msgspec.json.Decoder(RemoveSecret).decode


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """sealed: the value as JSON, sealed. save_id: of the save that made it."""

    name: str
    sealed: str
    saved_at: datetime
    save_id: str
    by: str = ""


_decode_kept = msgspec.json.Decoder(Kept).decode


class SecretReplies:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._bus = context.bus
        self._seal: Seal | None = None
        self._is_ready = False
        self._answers = Answers(context.bus)

    async def start(self) -> None:
        await self._answers.commands(
            "registry",
            {
                "save_secret": self.save,
                "load_secret": self.load,
                "remove_secret": self.remove,
                "secrets": self.secrets,
            },
        )

    async def stop(self) -> None:
        await self._answers.stop()

    async def save(self, data: bytes) -> Reply:
        try:
            command = _decode_save(data)
        except msgspec.DecodeError as error:
            raise InvalidInput("this is no secret: it needs a name and a value") from error
        errors = variables.name_errors(command.name)
        if len(command.value) > VALUE_BYTES:
            errors.append(FieldError("value", f"is larger than {VALUE_BYTES // 1024} KiB as JSON"))
        refuse("the secret cannot be saved", errors)
        if not self._is_ready:
            await self._bus.ensure_bucket(subjects.SECRETS, replicas=self._context.settings.replicas)
            self._is_ready = True
        made = Kept(
            name=command.name,
            sealed=self._opened().close(command.name, bytes(command.value)),
            saved_at=self._context.clock(),
            save_id=command.save_id,
            by=command.by,
        )
        for _ in range(ATTEMPTS):
            there, seq = await self._kept(command.name)
            if there is not None and there.save_id == command.save_id:
                made = there
                break
            if there is not None and not command.overwrite:
                raise Conflicting(
                    f"there is a secret {command.name!r} already: overwrite it, or remove it first"
                )
            if await self._put(command.name, encode(made), seq):
                break
        else:
            raise Failed(f"secret {command.name!r} changed {ATTEMPTS} times while it was to be saved")
        return Reply.of(SecretView(name=made.name, saved_at=made.saved_at, by=made.by))

    async def load(self, data: bytes) -> Reply:
        command = _decode_load(data)
        await self._check_executes(command)
        found, _ = await self._kept(command.name)
        if found is None:
            raise NotFound(
                f"there is no secret {command.name[: variables.NAME_LENGTH]!r}: "
                "save it with `perfect secrets set NAME`"
            )
        seal = self._seal or seal_with(self._context.settings.data_dir / KEY_FILE)
        value = seal.open(found.name, found.sealed)
        return Reply.of(SecretValue(name=found.name, value=msgspec.Raw(value)))

    async def remove(self, data: bytes) -> Reply:
        command = _decode_remove(data)
        for _ in range(ATTEMPTS):
            found, seq = await self._kept(command.name)
            if found is None:
                raise NotFound(f"there is no secret {command.name[: variables.NAME_LENGTH]!r}")
            if await self._put(command.name, b"", seq, {"KV-Operation": "DEL"}):
                return Reply.of(Done())
        raise Failed(f"secret {command.name!r} changed {ATTEMPTS} times while it was to be removed")

    async def secrets(self, _: bytes) -> Reply:
        try:
            stored, _last = await self._bus.last_of_each(subjects.secret("*"), stream=STREAM)
        except NotFoundError:  # no secret was ever saved
            stored = {}
        kept = [_decode_kept(data) for _, data in stored.values() if data]
        return Reply.of(
            [SecretView(name=one.name, saved_at=one.saved_at, by=one.by) for one in sorted(kept, key=_name)]
        )

    async def _kept(self, name: str) -> tuple[Kept | None, int]:
        """The secret, and the sequence of its key's last message, 0 when there is none."""
        if variables.name_errors(name):
            return None, 0
        try:
            stored = await self._bus.js.get_last_msg(STREAM, subjects.secret(name))
        except (NotFoundError, BucketNotFoundError):
            return None, 0
        return _decode_kept(stored.data) if stored.data else None, stored.seq or 0

    async def _put(self, name: str, data: bytes, seq: int, headers: dict[str, str] | None = None) -> bool:
        """Whether it was stored; False when somebody else was faster."""
        guard = {"Nats-Expected-Last-Subject-Sequence": str(seq)}
        ack = await self._bus.outbox.send(subjects.secret(name), data, headers=guard | (headers or {}))
        if ack.error is None:
            return True
        if ack.error.err_code == WRONG_LAST_SEQUENCE:
            return False
        raise Failed(f"secret {name!r} could not be kept: {ack.error.description}")

    def _opened(self) -> Seal:
        if self._seal is None:
            self._seal = seal_of(self._context.settings.data_dir)
        return self._seal

    async def _check_executes(self, command: LoadSecret) -> None:
        """Raises Rejected unless the client executes the run, or one of its distributed tasks, by their events."""
        if is_id(command.run_id) and await self._executes(command.run_id, command.client_id):
            return
        raise Rejected(
            f"secret {command.name[: variables.NAME_LENGTH]!r} was not given out: only the client that executes a run "
            "just now can load secrets"
        )

    async def _executes(self, run_id: str, client_id: str) -> bool:
        events = await self._bus.read(subjects.run(run_id))
        run = _folded(events).run
        if run is None or (run.state in _EXECUTES and run.client_id == client_id):
            return run is not None
        tasks = _folded([*events, *await self._bus.read(subjects.task(run_id))]).tasks.values()
        return any(task.client_id == client_id and task.state not in FINAL_TASK_STATES for task in tasks)


def _folded(events: list[tuple[int, Any]]) -> History:
    history = History()
    for seq, event in sorted(events, key=lambda pair: pair[0]):
        if not isinstance(event, UnknownEvent):
            history.apply(event, seq)
    return history


def _name(secret: Kept) -> str:
    return secret.name
