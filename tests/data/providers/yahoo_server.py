"""Plays Yahoo: cookies, crumbs and time zones by itself, the rest as it is told."""

from __future__ import annotations

import pandas as pd
from answering_server import Answer, AnsweringServer, Request

ZONE = "America/New_York"
CHART = "/v8/finance/chart/"
STATEMENTS = "/ws/fundamentals-timeseries/"


class YahooServer(AnsweringServer):
    """``requests`` are those for data; ``others`` are the rest."""

    def __init__(self) -> None:
        super().__init__()
        # Headers and body are two packets; the second one is not to wait until the first is acknowledged.
        self._server.RequestHandlerClass.disable_nagle_algorithm = True
        self.others: list[Request] = []
        self.yearly_income: list = []

    def next_answer(self, request: Request) -> Answer:
        answer = self._by_itself(request)
        if answer is None:
            return super().next_answer(request)
        (self.requests if request.path.startswith(STATEMENTS) else self.others).append(request)
        return answer

    def _by_itself(self, request: Request) -> Answer | None:
        if request.path == "/v1/test/getcrumb":
            return Answer("crumb")
        if request.path in ("/", "/consent"):
            return Answer("<html></html>", 404)
        if request.path.startswith(CHART) and "events" not in request.params:
            return Answer(chart())
        if request.path.startswith(STATEMENTS):
            wanted = "annualTotalRevenue" in request.params["type"] and self.yearly_income
            played = self.yearly_income[0] if wanted else {"timeseries": {"result": [], "error": None}}
            return played if isinstance(played, Answer) else Answer(played)
        return None


def seconds(moment: str, zone: str = ZONE) -> int:
    """Seconds since 1970."""
    return int(pd.Timestamp(moment, tz=zone).timestamp())


def chart(*bars: tuple, dividends: dict | None = None, splits: dict | None = None, **meta: object) -> dict:
    """An answer of the chart: each bar is its start in New York, open, high, low, close and volume."""
    names = ("open", "high", "low", "close", "volume")
    result: dict = {
        "meta": {
            "currency": "USD",
            "symbol": "AAPL",
            "instrumentType": "EQUITY",
            "exchangeTimezoneName": ZONE,
            "dataGranularity": "1d",
            "validRanges": ["1d", "5d", "1mo", "max"],
            **meta,
        },
        "indicators": {"quote": [{}], "adjclose": [{}]},
    }
    if bars:
        starts = [seconds(bar[0]) for bar in bars]
        result["timestamp"] = starts
        values = {name: [bar[place] for bar in bars] for place, name in enumerate(names, start=1)}
        result["indicators"] = {"quote": [values], "adjclose": [{"adjclose": values["close"]}]}
        days = sorted({bar[0][:10] for bar in bars})
        result["meta"]["tradingPeriods"] = [
            [
                {
                    "timezone": "EST",
                    "gmtoffset": -18000,
                    "start": seconds(f"{day} 09:30"),
                    "end": seconds(f"{day} 16:00"),
                }
            ]
            for day in days
        ]
    given = {str(seconds(day)): {"amount": amount, "date": seconds(day)} for day, amount in (dividends or {}).items()}
    ratios = {
        str(seconds(day)): {"date": seconds(day), "numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
        for day, (new, old) in (splits or {}).items()
    }
    result["events"] = {"dividends": given, "splits": ratios}
    return {"chart": {"result": [result], "error": None}}
