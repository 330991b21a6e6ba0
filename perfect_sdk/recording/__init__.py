"""What a run says, and where it goes: events, log lines, progress, large values."""
