"""A run's code in an executor before it is called: made from the hand-over, and where it has one from its history.

It may be made while the claim is still under way: then `claimed` says where that stands, before anything runs.
"""

from typing import TYPE_CHECKING

import msgspec

from perfect_schemas.commands import HandOver
from perfect_schemas.folds.run import is_pausing
from perfect_sdk.connecting.io import IO
from perfect_sdk.recording.bus_journal import BusJournal
from perfect_sdk.worker.frames import Serve
from perfect_sdk.worker.kept import Execution

if TYPE_CHECKING:
    from perfect_schemas.folds.history import History
    from perfect_sdk.flow import Flow

UNCLAIMED = 0


def made(
    serve: Serve,
    io: IO,
    flow: "Flow",
    hand_over: HandOver,
    *,
    epoch: int,
    claim_seq: int,
    flow_version: str | None,
    history: "History | None",
) -> Execution:
    """claim_seq: UNCLAIMED while it is not known. Says nothing and calls nothing of the user's."""
    from perfect_sdk.running.session import RunContext, RunSession

    source = f"worker:{serve.client_id}"
    journal = BusJournal(io, run_id=hand_over.run_id, epoch=epoch, claim_seq=claim_seq, source=source)
    life = history.run if history is not None else None
    journal.is_pausing = life is not None and is_pausing(life)
    run = RunContext(
        run_id=hand_over.run_id,
        flow_id=hand_over.flow_id,
        flow_name=hand_over.flow_name,
        flow_version=flow_version,
        epoch=epoch,
        claim_seq=claim_seq,
        configuration=hand_over.configuration,
        parameters=hand_over.parameters,
        tags=hand_over.tags,
        name=hand_over.name,
        client_id=serve.client_id,
        client_name=serve.client_name,
        source=source,
        parent_run_id=hand_over.parent_run_id,
        parent_task_key=life.parent_task_key if life else None,
        engine_retries=True,
        suspends=True,
        created_at=hand_over.created_at,
        scheduled_for=hand_over.scheduled_for,
        deployment=hand_over.deployment,
    )
    return Execution(hand_over.run_id, epoch, RunSession(run, flow, journal, history), journal)


def claimed(running: Execution, claim_seq: int) -> None:
    running.journal.reclaim(running.epoch, claim_seq)
    running.session.run = msgspec.structs.replace(running.session.run, claim_seq=claim_seq)
