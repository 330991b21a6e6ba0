"""The log of the file folded again, fast: the runs apart and in several processes, then what follows from many of them.

`share` reads the events of some runs and folds those with a plain life whole (`plain`), each for itself, leaves their rows
in files (`part`) and sums up what they add to the statistics (`tally`). `course` goes through all runs in the order of the
log: what was expected of each (`expected`) follows from those before it; the few runs that are not plain are folded there by
the code that folds live. `refill` has the parts done and puts them together.
"""
