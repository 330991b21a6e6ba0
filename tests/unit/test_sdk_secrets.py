"""Variables and secrets of flows that run in this process, and what must not be seen of the latter."""

import hashlib
import json
import logging
import pickle

import msgspec
import pytest

from perfect_schemas.events import RunCompleted, TaskCompleted, TaskFailed
from perfect_sdk import flow, get_run_logger, run_deployment, task
from perfect_sdk.artifacts import (
    create_markdown_artifact,
)
from perfect_sdk.blocks import system
from perfect_sdk.blocks.system import Secret
from perfect_sdk.cache_policies import INPUTS
from perfect_sdk.calling.task_result import digest_of
from perfect_sdk.encoding import secrecy
from perfect_sdk.exceptions import InvalidInput, MissingContextError, ObjectAlreadyExists
from perfect_sdk.testing import resume, run_flow
from perfect_sdk.variables import Variable

PASSWORD = 'open "sesame" & go'


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFECT_OFFLINE", "1")
    monkeypatch.setattr(secrecy, "_known", ())
    monkeypatch.setattr(system, "_here", {})


def test_variables_last_as_long_as_the_process() -> None:
    assert Variable.get("nowhere", 3) == 3
    assert Variable.set("here", {"a": [1]}, tags=["t"]).value == {"a": [1]}
    assert Variable.get("here") == {"a": [1]}
    for value in (2, {"a": [1]}):
        with pytest.raises(ValueError, match="overwrite"):
            Variable.set("here", value, tags=["t"])
    Variable.set("here", 2, overwrite=True)
    assert Variable.get("here") == 2
    assert (Variable.unset("here"), Variable.unset("here")) == (True, False)
    with pytest.raises(ValueError, match="no JSON form"):
        Variable.set("here", object())


@flow
def sets_a_variable():
    Variable.set("by-flow", 1)
    measures("one")
    return Variable.get("by-flow")


def test_a_resumed_run_passes_the_place_again_where_it_has_set_a_variable() -> None:
    Variable.unset("by-flow")
    whole = run_flow(sets_a_variable)
    assert whole.result == 1
    assert resume(sets_a_variable, whole.events[:3]).result == 1
    assert isinstance(run_flow(sets_a_variable).error, ObjectAlreadyExists)  # another run


@task
def says(password):
    get_run_logger().info("it is %s", password)
    print("printed", password)
    create_markdown_artifact(f"# {password}", description=password)
    return password


@task
def fails(password):
    raise ValueError(f"cannot open {password}", password)


@flow
def tells(password: str):
    return len(password)


@flow(log_prints=True)
def leaky():
    password = Secret.load("door").get()
    says(password)
    tells(password)
    with pytest.raises(ValueError, match="sesame"):
        fails(password)
    return {"found": password}


def test_a_secret_is_in_nothing_that_is_written(capsys) -> None:
    Secret(PASSWORD).save("door")
    result = run_flow(leaky, configuration="debug")
    assert result.error is None
    written = b"\n".join(map(msgspec.json.encode, [*result.events, *result.logs])).decode()
    printed = capsys.readouterr()
    for text in (written, printed.out, printed.err):
        assert "sesame" not in text
    assert f"it is {secrecy.CONCEALED}" in written
    assert f"printed {secrecy.CONCEALED}" in printed.out
    ends = {
        event.task_key: event for event in result.events if isinstance(event, (TaskCompleted, TaskFailed))
    }
    assert ends["says-0"].result is None  # not kept
    assert ends["tells-0"].result is not None
    assert ends["fails-0"].error.args == [f"cannot open {secrecy.CONCEALED}", secrecy.CONCEALED]
    assert (
        next(event for event in result.events if isinstance(event, RunCompleted)).result is not None
    )  # of `tells`
    assert result.result == {"found": PASSWORD}


class Own(logging.Handler):
    """A handler of the user's: what it writes, with tracebacks."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        try:
            self.said.append(self.format(record))
        except TypeError:
            self.handleError(record)


@pytest.fixture
def own(monkeypatch):
    """One on a logger of the user's, which does not reach the root logger."""
    factory = logging.getLogRecordFactory()
    handler, logger = Own(), logging.getLogger("theirs")
    logger.addHandler(handler)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.propagate = True
    logging.setLogRecordFactory(factory)


def test_handlers_of_the_users_own_do_not_get_a_secret_either(own) -> None:
    @flow
    def logs():
        logger = logging.getLogger("theirs")
        logger.warning("before %s", PASSWORD)
        password = Secret.load("door").get()
        logging.setLogRecordFactory(logging.LogRecord)  # somebody else's
        Secret.load("door")
        logger.warning("100 %% of %s", {"p": password})
        try:
            raise ValueError(password)
        except ValueError:
            logger.exception("failed", stack_info=True)
        logger.warning("%d things", "no number")
        logger.warning("plain %s", "words")

    system._here["door"] = PASSWORD
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging, "raiseExceptions", False)
        assert run_flow(logs).error is None
    before, masked, failed, plain = own.said
    assert before == f"before {PASSWORD}"  # not a secret yet
    assert masked == f"100 % of {{'p': '{secrecy.CONCEALED}'}}"
    assert failed.startswith("failed\nTraceback")
    assert f"ValueError: {secrecy.CONCEALED}" in failed
    assert "sesame" not in failed
    assert plain == "plain words"


def digests(result):
    return {event.task_key: event.input_digest for event in result.events if isinstance(event, TaskCompleted)}


@task
def measures(value, more=None):
    return len(value)


@flow
def uses(is_loaded: bool = True):
    pin = Secret.load("pin").get() if is_loaded else "1234"
    return [measures(pin), measures({"pin": [pin]}, more="x"), measures("plain")]


def test_a_weak_secret_cannot_be_guessed_from_a_digest() -> None:
    Secret("1234").save("pin")
    whole = run_flow(uses)
    found = digests(whole)
    guesses = {digest_of((guess,), {}) for guess in map("{:04}".format, range(10_000)) if guess != "1234"}
    assert found["measures-0"] not in guesses | {hashlib.sha256(b'[["1234"],{}]').hexdigest()}
    assert found["measures-0"] == "~" + hashlib.sha256(b'[["********"],{}]').hexdigest()
    assert found["measures-1"].startswith("~")
    assert found["measures-2"] == hashlib.sha256(b'[["plain"],{}]').hexdigest()


@pytest.mark.parametrize(("first", "then"), [(True, True), (True, False), (False, True)])
def test_a_replay_matches_whether_or_not_the_secret_is_known(monkeypatch, first, then) -> None:
    monkeypatch.setattr(system, "_here", {"pin": "1234"})
    whole = run_flow(uses, {"is_loaded": first})
    monkeypatch.setattr(secrecy, "_known", ())
    done = [n for n, event in enumerate(whole.events) if isinstance(event, TaskCompleted)]
    again = resume(uses, [at(event, is_loaded=then) for event in whole.events[: done[1] + 1]])
    assert again.result == [4, 1, 5]
    assert [event.task_key for event in again.events if isinstance(event, TaskCompleted)].count(
        "measures-0"
    ) == 1


def at(event, **parameters):
    """The run, as if it had been given other parameters."""
    return msgspec.structs.replace(event, parameters=parameters) if hasattr(event, "parameters") else event


def test_inputs_with_a_secret_are_not_cached() -> None:
    computed = []

    @task(cache_policy=INPUTS)
    def cached(pin):
        computed.append(pin)
        return len(pin)

    @flow
    def twice():
        pin = Secret.load("pin").get()
        return [cached(pin), cached(pin)]

    Secret("1234").save("pin")
    result = run_flow(twice)
    assert result.result == [4, 4]
    assert computed == ["1234", "1234"]
    assert any("could be guessed from a cache key" in line.message for line in result.logs)


@pytest.mark.parametrize("parameters", [{"password": PASSWORD}, {"more": [{"deep": f"x{PASSWORD}x"}]}])
def test_a_secret_is_no_parameter_of_a_deployment(parameters) -> None:
    Secret(PASSWORD).save("door")
    starts = flow(lambda: run_deployment("other", parameters), name="starts")
    result = run_flow(starts)
    assert isinstance(result.error, InvalidInput)
    assert f"parameter {next(iter(parameters))!r} holds a secret" in str(result.error)
    assert b"sesame" not in b"".join(map(msgspec.json.encode, [*result.events, *result.logs]))


def test_a_secret_shows_stars() -> None:
    secret = Secret({"user": "u", "password": PASSWORD})
    for text in (repr(secret), str(secret), f"{secret}", repr(secret.value), repr([secret.value])):
        assert "sesame" not in text
        assert secrecy.CONCEALED in text
    assert secret.get()["password"] == PASSWORD
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_secret_is_for_runs_and_is_not_overwritten() -> None:
    with pytest.raises(MissingContextError):
        Secret.load("door")
    Secret("first").save("door")
    with pytest.raises(ObjectAlreadyExists) as caught:
        Secret("second").save("door")
    assert "second" not in str(caught.value)
    Secret("second").save("door", overwrite=True)
    load = flow(lambda: len(Secret.load("door").get()), name="load")
    assert run_flow(load).result == 6
    missing = run_flow(flow(lambda: Secret.load("window"), name="missing"))
    assert isinstance(missing.error, ValueError)


@pytest.mark.parametrize(
    "text", [PASSWORD, repr(PASSWORD), json.dumps(PASSWORD), "open%20%22sesame%22%20%26%20go"]
)
def test_a_secret_is_found_however_it_is_written(text) -> None:
    secrecy.learn([PASSWORD, 12345678, True, "ab"])
    assert "sesame" not in secrecy.conceal(f"<{text}>")
    assert secrecy.conceal("pin 12345678 ab True") == f"pin {secrecy.CONCEALED} ab True"
    assert secrecy.holds(text.encode())
    assert not secrecy.holds(b"nothing")
