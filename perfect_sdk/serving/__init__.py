"""Flows that others run: how they are found, what is known of them, how they are deployed and served."""
