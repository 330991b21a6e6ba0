"""Two tasks and a flow. `python examples/hello.py` runs it here; `perfect worker examples/hello.py` serves it."""

from perfect_sdk import flow, get_run_logger, task


@task(weight=1)
def words(text: str) -> list[str]:
    return text.split()


@task(weight=3, retries=2, retry_delay_seconds=1)
def count(word: str) -> int:
    return len(word)


@flow(name="Hello")
def hello(text: str = "every run is a list of facts") -> dict[str, int]:
    found = words(text)
    lengths = [length.result() for length in count.map(found)]
    get_run_logger().info("counted %d words", len(found))
    return dict(zip(found, lengths, strict=True))


if __name__ == "__main__":
    print(hello())
