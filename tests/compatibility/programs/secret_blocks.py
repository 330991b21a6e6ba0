"""`Secret` blocks: saved by name, loaded in a flow, concealed when shown."""

from prefect import flow
from prefect.blocks.system import Secret


@flow
def main():
    secret = Secret.load("compat-token")
    assert "hush-hush" not in repr(secret)
    return secret.get() == "hush-hush"


def check():
    Secret(value="hush-hush").save("compat-token", overwrite=True)
    assert main()
