"""Artifacts: what a run has made, to be read by people."""

from prefect import flow, task
from prefect.artifacts import (
    Artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

NEEDS = "system"


@task
def reports():
    create_link_artifact(
        key="compat-link", link="https://example.com", link_text="there", description="## Where"
    )
    create_table_artifact(key="compat-table", table=[{"a": 1, "b": 2}, {"a": 3, "b": 4}])
    create_image_artifact(key="compat-image", image_url="https://example.com/a.png")
    progress = create_progress_artifact(progress=0.0, description="how far")
    update_progress_artifact(artifact_id=progress, progress=50.0)
    return create_markdown_artifact(key="compat-report", markdown="# Sales\n\nfine", description="All of it")


@flow
def main():
    assert reports() is not None
    found = Artifact.get("compat-report")
    return found.key, found.data, found.description, Artifact.get("compat-none-such")


def check():
    assert main() == ("compat-report", "# Sales\n\nfine", "All of it", None)
