import msgspec

from perfect_projector.forecast import Curves, Forecast, Guess, curves_of, errors
from perfect_projector.values import text


def with_runs(*durations_ms: int) -> Curves:
    curves = Curves()
    for total in durations_ms:
        curves.completed("f", Forecast(marks=[total * n // 10 for n in range(1, 10)]), total)
    return curves


def test_the_forecast_at_the_start_is_of_the_runs_before() -> None:
    forecast = Forecast()
    with_runs(100, 200, 300).started("f", forecast)
    assert forecast.start == Guess(200, 280)
    nothing = Forecast()
    with_runs(100, 200).started("f", nothing)
    assert nothing.start is None


def test_half_of_the_progress_is_forecast_from_there() -> None:
    curves, forecast = with_runs(100, 200, 300), Forecast()
    curves.reached("f", forecast, 2, 90)
    assert (forecast.marks, forecast.half) == ([90, 90], None)
    curves.reached("f", forecast, 7, 400)
    assert forecast.marks == [90, 90, 400, 400, 400, 400, 400]
    assert forecast.half == Guess(500, 540)


def test_how_far_it_was_off() -> None:
    forecast = Forecast(start=Guess(80, 90), half=Guess(110, 120))
    assert errors(forecast, 100) == {"eta_start": 20.0, "eta_half": 10.0, "eta_within": 0.0}
    assert errors(forecast, 90) == {"eta_start": 1000 / 90, "eta_half": 2000 / 90, "eta_within": 100.0}
    assert errors(Forecast(), 100) == {}
    assert errors(Forecast(start=Guess(0, 0)), 0) == {"eta_start": 0.0, "eta_within": 100.0}


def test_only_the_last_runs_are_kept_and_come_back_from_the_file() -> None:
    curves = with_runs(*range(1, 61))
    kept = curves_of(text(curves.of("f")))
    assert [curve[-1] for curve in kept] == list(range(11, 61))
    again = Curves()
    again.restore([("f", kept)])
    assert again.of("f") == curves.of("f")
    assert curves_of(None) == []


def test_a_forecast_survives_its_text() -> None:
    forecast = Forecast(start=Guess(80, 90), marks=[1, 2])
    assert msgspec.json.decode(text(forecast), type=Forecast) == forecast
