"""Which release this is."""


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("perfect-flow")
    except PackageNotFoundError:
        return "unknown (not installed)"
