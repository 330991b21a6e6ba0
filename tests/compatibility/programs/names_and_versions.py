"""`name`, `description` and `version` of flows and tasks."""

from prefect import flow, task


@task(name="My Example Task", description="An example", tags=["tag1", "tag2"])
def my_task():
    return 1


@flow(name="My Flow", description="My flow with a name and description", version="1.2.3")
def my_flow():
    return my_task()


@flow
def default_name_has_dashes():
    return None


def check():
    assert my_flow() == 1
    assert (my_flow.name, my_flow.version) == ("My Flow", "1.2.3")
    assert my_flow.description == "My flow with a name and description"
    assert (my_task.name, my_task.description) == ("My Example Task", "An example")
    assert my_task.tags == {"tag1", "tag2"}
    assert default_name_has_dashes.name == "default-name-has-dashes"
