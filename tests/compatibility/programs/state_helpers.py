"""States are values: their predicates, and `raise_state_exception`."""

from prefect.client.schemas import StateType
from prefect.states import Cancelled, Completed, Crashed, Failed, Paused, Pending, Running, Scheduled, State


def check():
    assert Completed().is_completed()
    assert Completed(message="fine").message == "fine"
    assert [state().is_final() for state in (Completed, Failed, Crashed, Cancelled)] == [True] * 4
    assert [state().is_final() for state in (Running, Pending, Scheduled, Paused)] == [False] * 4
    assert Scheduled().is_scheduled()
    assert Paused().is_paused()
    assert Failed().type == StateType.FAILED
    assert State(type=StateType.RUNNING).name == "Running"
    assert Completed(name="Skipped").name == "Skipped"
