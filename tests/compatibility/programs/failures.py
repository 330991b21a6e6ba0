"""A task's exception reaches the flow; what the flow does not catch fails the flow and reaches its caller."""

from prefect import flow, task


class Broken(Exception):
    pass


@task
def breaks():
    raise Broken("this task fails")


@flow
def lets_it_pass():
    breaks()


@flow
def catches_it():
    try:
        breaks()
    except Broken as error:
        return f"caught: {error}"


def check():
    assert catches_it() == "caught: this task fails"
    try:
        lets_it_pass()
    except Broken:
        pass
    else:
        raise AssertionError("nothing was raised")
    state = lets_it_pass(return_state=True)
    assert (state.is_failed(), state.name) == (True, "Failed")
    assert "this task fails" in state.message
    assert isinstance(state.result(raise_on_failure=False), Broken)
