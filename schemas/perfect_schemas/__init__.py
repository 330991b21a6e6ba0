"""The shared language of Perfect: events, commands, queries, states, subjects, errors and the pure folds
that give events their meaning. Imports msgspec and the standard library only; does no I/O.
"""
