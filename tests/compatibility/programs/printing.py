"""`log_prints=True` makes log lines of what is printed, in the flow and in its tasks unless they say otherwise."""

from prefect import flow, task

SAYS = ["printed by the flow", "printed by the task", "printed aside"]


@task
def prints():
    print("printed by the task")


@task(log_prints=False)
def prints_aside():
    print("printed aside")


@flow(log_prints=True)
def main():
    print("printed by the flow")
    prints()
    prints_aside()


def check():
    main()
