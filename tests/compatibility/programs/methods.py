"""Flows and tasks may be methods."""

from prefect import flow, task


class Processor:
    factor = 10

    def __init__(self, offset: int) -> None:
        self.offset = offset

    @task
    def shift(self, n: int) -> int:
        return n + self.offset

    @flow
    def run(self, n: int) -> int:
        return self.shift(n)

    @classmethod
    @flow
    def of_class(cls, n: int) -> int:
        return n * cls.factor

    @staticmethod
    @flow
    def alone(n: int) -> int:
        return n


def check():
    assert Processor(5).run(1) == 6
    assert Processor(7).run(n=1) == 8
    assert Processor.of_class(2) == 20
    assert Processor.alone(3) == 3
