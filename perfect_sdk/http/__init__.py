"""The client of programs that speak HTTP only."""
