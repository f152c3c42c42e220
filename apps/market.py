"""Market.

Candlesticks with indicators, and the live backtest of a strategy beside them.
"""

from datetime import timedelta

import panel as pn

import workbench as wb

pn.config.sizing_mode = "stretch_width"
bench = wb.open()
catalog = bench.datasets()
strategies = bench.strategies()
PRICES = {"adjusted for splits and dividends": "all", "adjusted for splits": "splits", "as traded": "none"}
SIDES = {"long only": "long", "long and short": "both"}

dataset = pn.widgets.Select(name="Dataset", options=list(catalog.index[catalog["kind"] == "bars"]))
symbol = pn.widgets.Select(name="Symbol")
dates = pn.widgets.DateRangePicker(name="Dates")
adjust = pn.widgets.Select(name="Prices", options=PRICES)
indicators = pn.widgets.MultiChoice(name="Indicators", options=bench.indicators(), value=["sma", "rsi"])
strategy = pn.widgets.Select(name="Strategy", options=list(strategies), value="sma_cross")
direction = pn.widgets.Select(name="Direction", options=SIDES)
parameters = pn.FlexBox()
message = pn.pane.Alert(alert_type="warning", visible=False)
chart, proof = bench.pane(), bench.pane()
figures = pn.pane.HTML(width=380, sizing_mode="fixed")


def choose_dataset(event=None):
    """Offer the dataset's symbols, and its last two years."""
    times = bench.bars(dataset=dataset.value).indexes["time"]
    first, last = times[0].date(), times[-1].date()
    names = bench.symbols(dataset.value)
    dates.value = None  # the old dates may lie outside the new bounds
    dates.param.update(start=first, end=last)
    symbol.param.update(options=names, value=symbol.value if symbol.value in names else names[0])
    dates.value = (max(first, last - timedelta(days=730)), last)


def choose_strategy(event=None):
    """Offer the strategy's parameters with their defaults and ranges."""
    kinds = {"integer": pn.widgets.IntInput, "number": pn.widgets.FloatInput, "string": pn.widgets.TextInput}
    fields = strategies[strategy.value].parameters.model_json_schema()["properties"]
    inputs = []
    for name, field in fields.items():
        limits = {"start": field.get("minimum"), "end": field.get("maximum")}
        inputs.append(kinds[field["type"]](name=name, value=field["default"], width=120, sizing_mode="fixed", **limits))
        inputs[-1].param.watch(draw, "value")
    parameters[:] = inputs


def draw(event=None):
    """Draw the prices and the backtest; say what stands in the way in a sentence."""
    if dates.value is None:
        return
    start, end = dates.value
    try:
        bars = bench.bars([symbol.value], dataset=dataset.value, adjust=adjust.value)
        chart.object = bench.candles(bars, symbol.value, indicators.value, start=start, end=end)
        result = bench.backtest(
            strategy.value,
            [symbol.value],
            start=start,
            end=end,
            dataset=dataset.value,
            adjust=adjust.value,
            direction=direction.value,
            fill="next_open" if "open" in bars.fields else "next_close",
            **{widget.name: widget.value for widget in parameters},
        )
    except wb.WorkbenchError as error:
        # What is drawn belongs to another choice.
        proof.object, figures.object = None, ""
        message.param.update(object=str(error), visible=True)
        return
    proof.object, figures.object = result.plot(), result._repr_html_()
    message.visible = False


pn.state.location.sync(dataset, {"value": "dataset"})
choose_dataset()
pn.state.location.sync(symbol, {"value": "symbol"})
choose_strategy()
draw()
dataset.param.watch(choose_dataset, "value")
strategy.param.watch(choose_strategy, "value", precedence=0)
for widget in (symbol, dates, adjust, indicators, strategy, direction):
    widget.param.watch(draw, "value", precedence=1)

bench.page(
    "TRII Workbench · Market",
    sidebar=["### Prices", dataset, symbol, dates, adjust, indicators, "### Backtest", strategy, parameters, direction],
    main=[pn.Column(message, chart), pn.Row(figures, proof)],
).servable(title="Market")
