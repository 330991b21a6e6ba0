"""`commit_mode=EAGER`: a transaction commits at its own end, whatever becomes of the one around it."""

from prefect import flow, task
from prefect.transactions import CommitMode, transaction

said = []


@task
def step(name: str):
    said.append(name)


@step.on_rollback
def undo(txn):
    said.append("undo")


@step.on_commit
def confirm(txn):
    said.append("confirm")


@flow
def main():
    with transaction():
        with transaction(commit_mode=CommitMode.EAGER):
            step("eager")
        said.append("between")
        raise ValueError


def check():
    assert main(return_state=True).is_failed()
    assert said == ["eager", "confirm", "between"]
