"""How this process speaks with the running system: the I/O thread, the wire, questions to services."""
