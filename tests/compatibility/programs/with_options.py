"""`with_options`: the same function with other options; the original stays as it is."""

from prefect import flow, task

tries = []


@task(retries=1, name="first name")
def flaky():
    tries.append(1)
    raise OSError


patient = flaky.with_options(retries=3, name="second name")


@flow(name="plain")
def main():
    patient(return_state=True)
    return len(tries)


renamed = main.with_options(name="renamed", retries=2)


def check():
    assert (flaky.name, flaky.retries) == ("first name", 1)
    assert (patient.name, patient.retries) == ("second name", 3)
    assert (main.name, renamed.name, renamed.retries) == ("plain", "renamed", 2)
    assert renamed() == 4
