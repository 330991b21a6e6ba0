"""What the end of a task or transaction sets off: commit or rollback, and the hooks."""
