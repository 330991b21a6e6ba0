"""The same workloads on other orchestrators, each installed by itself and run as its own documentation recommends."""
