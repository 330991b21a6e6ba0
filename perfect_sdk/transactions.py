"""Transactions: what belongs together is committed together, or undone.

    with transaction():
        write_file("a")             # @write_file.on_rollback removes it
        check("a")                  # fails: write_file's rollback hooks run, last task first

A task that has ended is staged in the transaction around it: the `with transaction()` that it is called in, or the task
that calls it. Without one it commits at once. A commit runs the on_commit hooks in order and lets the cache have the
results; a failure within rolls back what is staged, in reverse. A task that failed is not rolled back itself, and
neither is one whose result came from the cache: what that did was committed before. A commit hook that fails undoes its
own task; the others go on. What a flow called inside does is
its own: transactions end at the border of a flow.

Durable: each hook is a step of the run, recorded like a task, so a run that is resumed goes on with the hooks that are
still to run. What is `set` is not recorded: set it in the flow's body, where a resumed run comes by again. A run that is
cancelled is rolled back, too, unrecorded; one that waits is not.

    with transaction(key="invoice-7") as txn:
        if not txn.is_committed():
            txn.stage(make_invoice())
    txn.read().result

`key`: committed once, ever: the value that was staged is in the cache, where any run finds it. Outside of a running
system, in this process. Two transactions with one key at the same time both do their work; the later commit holds.
"""

from typing import Any

from perfect_sdk.committing.transaction import (
    CommitMode,
    IsolationLevel,
    Transaction,
    TransactionState,
    get_transaction,
)
from perfect_sdk.exceptions import NotSupported


def transaction(
    key: str | None = None,
    store: Any = None,
    commit_mode: CommitMode | str | None = None,
    isolation_level: IsolationLevel | str | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Any = None,
) -> Transaction:
    """What `with` takes, also in async flows; see the module.

    key: under which what is staged is kept, once. overwrite: do it again all the same. write_on_commit=False: keep
    nothing. commit_mode: LAZY (default) commits with the transaction around it; EAGER at its own end; OFF only by
    `commit()`. Raises NotSupported for a store of one's own, and for the isolation level SERIALIZABLE.
    """
    if store is not None:
        raise NotSupported("transaction(store=…) is not supported: the system itself keeps what is committed")
    if isolation_level is not None and IsolationLevel(isolation_level) is IsolationLevel.SERIALIZABLE:
        raise NotSupported(
            "a transaction takes no locks: put `with concurrency(name):` with a limit of one slot around it"
        )
    mode = CommitMode(commit_mode) if commit_mode is not None else None
    return Transaction(
        key, commit_mode=mode, overwrite=overwrite, write_on_commit=write_on_commit, logger=logger
    )


atransaction = transaction
"""`async with atransaction(): …`: the hooks run on the flow's loop."""

__all__ = [
    "CommitMode",
    "IsolationLevel",
    "Transaction",
    "TransactionState",
    "atransaction",
    "get_transaction",
    "transaction",
]
