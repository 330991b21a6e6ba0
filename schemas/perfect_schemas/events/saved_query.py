"""SQL queries that people keep. Subject: `perfect.evt.query.<query id>` on DEFS, the id made of the name."""

from perfect_schemas.envelope import Event


class QuerySaved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="query.saved"):
    """Under a name that is taken it replaces what was there. text: the SQL."""

    name: str
    text: str
    by: str = ""


class QueryRemoved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="query.removed"):
    name: str
    by: str = ""
