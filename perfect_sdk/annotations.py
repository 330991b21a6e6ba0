"""Marks on arguments: `task.map(items, unmapped(shared))`, `task.submit(allow_failure(future))`."""

from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")


class Annotation(Generic[T]):
    """made: whether any was, so that inputs need looking through."""

    __slots__ = ("value",)
    made: ClassVar[bool] = False

    def __init__(self, value: T) -> None:
        self.value = value
        Annotation.made = True

    def unwrap(self) -> T:
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class unmapped(Annotation[T]):  # noqa: N801  reads like a function where it is used
    """`map` hands it to every call as it is instead of iterating over it."""

    __slots__ = ()

    def __getitem__(self, _: object) -> T:
        return self.value


class allow_failure(Annotation[T]):  # noqa: N801
    """A future among the inputs that may have failed: the task gets its exception instead of not running."""

    __slots__ = ()


class quote(Annotation[T]):  # noqa: N801
    """Not looked into for futures; the task gets the value as it is."""

    __slots__ = ()


def strip(value: Any) -> Any:
    return value.value if isinstance(value, Annotation) else value
