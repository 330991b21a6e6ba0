"""Calls that run beside the flow: in threads, in processes, mapped."""
