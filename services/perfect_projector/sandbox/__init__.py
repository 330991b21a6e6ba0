"""SQL for people: a query of theirs runs in a process of its own, over a snapshot of the file, between walls.

    snapshot.py   makes and removes snapshots, beside the write loop
    desk.py       takes turns, sees to a fresh snapshot, answers
    process.py    starts a query's process, kills it at the deadline
    __main__.py   that process: walls.py closes everything, output.py writes the result

A check of the statement is no wall (`WITH d AS (DELETE … RETURNING *) SELECT …` is a SELECT); it only makes a clear
message. What holds is: another process, limits of the operating system (landlock.py among them), a file that is opened
read-only, and DuckDB's own configuration, locked. Beside the snapshot a query can open the files of the archive that the
snapshot's views read, each by its name, and nothing else.
"""
