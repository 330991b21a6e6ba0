"""What a run waits for, and how it is paused, rested, stopped and resumed meanwhile."""
