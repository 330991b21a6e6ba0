"""Where users of Prefect look for `annotations`."""
