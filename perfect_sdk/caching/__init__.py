"""Results that are kept by the key of a policy, in this process or on the bus."""
