"""Of what a run has recorded, the events of one type."""


def of_type(result, kind):
    return [event for event in result.events if isinstance(event, kind)]
