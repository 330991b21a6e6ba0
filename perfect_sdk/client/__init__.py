"""Where users of Prefect look for `schemas`."""
