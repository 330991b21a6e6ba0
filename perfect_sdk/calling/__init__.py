"""One call of a task: its key, its name, its inputs, how it is carried out, and what it gave."""
