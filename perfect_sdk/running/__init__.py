"""One execution of a run: its session, its tries and effects, what a replay knows, its child runs."""
