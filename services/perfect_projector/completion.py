"""What enters the statistics when something has really run to completion: not what was cached, adopted or interrupted."""

from datetime import datetime

from perfect_projector import forecast as forecasting
from perfect_projector.forecast import Curves, Forecast
from perfect_projector.outlier import Finding
from perfect_projector.rollup import Key, Measure, Rolls
from perfect_projector.statistic import Book
from perfect_projector.welford import Summary
from perfect_schemas.folds.run import RunLife
from perfect_schemas.views import queued_ms


class Completions:
    """book: of all time. rolls: of each day. curves: the last runs of each flow."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.rolls = Rolls()
        self.curves = Curves()

    def task(
        self, run: RunLife, task_id: str, name: str, duration_ms: int, *, at: datetime, seq: int, batch: int
    ) -> tuple[Finding | None, Summary]:
        """Returns the verdict, and what came before it."""
        whose = run.flow_id, run.flow_name, name
        self.rolls.add(_key(run, task_id, "run", at), duration_ms, whose=whose, seq=seq, batch=batch)
        return self.book.observe(
            task_id,
            flow_id=run.flow_id,
            flow_name=run.flow_name,
            task_name=name,
            duration_ms=duration_ms,
            at=at,
            seq=seq,
        )

    def run(
        self,
        run: RunLife,
        forecast: Forecast,
        launch_ms: int | None,
        *,
        at: datetime,
        seq: int,
        batch: int,
    ) -> tuple[Finding | None, Summary]:
        duration_ms = run.duration_ms or 0
        whose = run.flow_id, run.flow_name, None
        measured: dict[Measure, float | None] = {
            "run": duration_ms,
            "queued": queued_ms(run),
            "launch": launch_ms,
        }
        measured |= forecasting.errors(forecast, duration_ms)
        for measure, value in measured.items():
            if value is not None:
                key = _key(run, run.flow_id, measure, at)
                self.rolls.add(key, value, whose=whose, seq=seq, batch=batch)
        self.curves.completed(run.flow_id, forecast, duration_ms)
        return self.book.observe(
            run.flow_id,
            flow_id=run.flow_id,
            flow_name=run.flow_name,
            task_name=None,
            duration_ms=duration_ms,
            at=at,
            seq=seq,
        )


def _key(run: RunLife, name: str, measure: Measure, at: datetime) -> Key:
    return Key(name, measure, at.date(), run.configuration, run.flow_version or "")
