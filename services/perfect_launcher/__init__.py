"""The launcher: runs workers for files of the workflows folder on its host, and keeps them running."""
