"""Tasks that run apart from any flow: delayed, served, and their results asked for."""
