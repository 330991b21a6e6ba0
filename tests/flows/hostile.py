"""A flow that tries, wherever it may say something, to run script in the browsers of those who look."""

import logging

from perfect_sdk import flow, task
from perfect_sdk.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

SCRIPT = "<script>window.taken = 1</script>"
IMAGE = "<img src=x onerror='window.taken = 1'>"


@task(name=f"{IMAGE} task")
def speaks(text: str) -> str:
    logging.getLogger("hostile").warning("\x1b[31m%s\x1b[0m %s %s", SCRIPT, IMAGE, text)
    return f"</pre>{SCRIPT}{IMAGE}"


@flow(name=f"{IMAGE} flow", description=f"{SCRIPT}{IMAGE}", log_prints=True)
def hostile(text: str = IMAGE, fail: bool = False) -> str:
    print("line", SCRIPT, IMAGE)
    create_markdown_artifact(
        f"# title\n{SCRIPT}\n{IMAGE}\n[x](javascript:window.taken=1)", key="markdown", description=IMAGE
    )
    create_table_artifact([{IMAGE: SCRIPT}], key="table")
    create_link_artifact("javascript:window.taken=1", f"{IMAGE} link", key="link")
    said = speaks(text)
    if fail:
        raise ValueError(f"{SCRIPT}{IMAGE}")
    return said
