"""A task of a transaction that says what becomes of it."""

from perfect_sdk import task
from perfect_sdk.transactions import Transaction


def step(name: str, said: list[str], *, fails: bool = False, **options):
    """A task that says its name, and its hooks theirs."""

    @task(name=name, **options)
    def work() -> str:
        said.append(name)
        if fails:
            raise ValueError(name)
        return name

    @work.on_rollback
    def undo(txn: Transaction) -> None:
        said.append(f"{name}-")

    @work.on_commit
    def confirm(txn: Transaction) -> None:
        assert not txn.is_committed()
        said.append(f"{name}+")

    return work
