"""The async twins of the artifacts' functions."""

import asyncio

from prefect import flow
from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)


@flow
async def main():
    table = await acreate_table_artifact(table=[{"a": 1}], key="compat-async-table")
    text = await acreate_markdown_artifact(markdown="# Hello", key="compat-async-text", description="said")
    bar = await acreate_progress_artifact(progress=10)
    await aupdate_progress_artifact(artifact_id=bar, progress=100)
    return table, text, bar


def check():
    assert len(set(asyncio.run(main()))) == 3
