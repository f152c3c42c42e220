"""Market.

Candlesticks with indicators, a replay that can be followed, and the live backtest of a strategy beside them.
"""

from datetime import timedelta
from html import escape

import panel as pn

import workbench as wb

pn.config.sizing_mode = "stretch_width"
bench = wb.open()
strategies = {name: each for name, each in bench.strategies().items() if each.symbols == 1}
PRICES = {"adjusted for splits and dividends": "all", "adjusted for splits": "splits", "as traded": "none"}
SIDES = {"long only": "long", "long and short": "both"}

dataset = pn.widgets.Select(name="Dataset", options=bench.market.filled())
symbol = pn.widgets.Select(name="Symbol")
dates = pn.widgets.DateRangePicker(name="Dates")
adjust = pn.widgets.Select(name="Prices", options=PRICES)
indicators = pn.widgets.MultiChoice(name="Indicators", options=bench.studies(), value=["sma", "rsi"])
strategy = pn.widgets.Select(name="Strategy", options=list(strategies), value="sma_cross")
direction = pn.widgets.Select(name="Direction", options=SIDES)
parameters = pn.FlexBox()
message = pn.pane.Alert(alert_type="warning", visible=False)
follow = pn.widgets.Toggle(name="Follow a replay", button_type="primary", button_style="outline")
speed = pn.widgets.IntSlider(name="Bars a second", start=1, end=20, value=5)
ticker = pn.pane.HTML(visible=False)
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
            record=False,
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


class Follower:
    """Tells the chosen symbol's bars again, and lets the chart grow with them."""

    feed = None
    task = None

    def switch(self, event=None):
        """Begin or end, as the button says; a change of what is shown ends a replay, too."""
        if event is not None and event.obj is not follow:
            # What the replay told was about another choice.
            follow.value = ticker.visible = False
        self.stop()
        if follow.value and dates.value is not None:
            self.bars = bench.bars([symbol.value], dataset=dataset.value, adjust=adjust.value)
            self.feed = bench.live(
                symbol.value, dataset=dataset.value, adjust=adjust.value, start=dates.value[0], speed=speed.value
            )
            self.task = pn.state.add_periodic_callback(self.step, period=500)
        follow.name = "Stop the replay" if follow.value else "Follow a replay"

    def step(self):
        """Draw what has arrived."""
        try:
            ended, events = self.feed.ended, self.feed.drain()
        except wb.WorkbenchError as error:
            message.param.update(object=str(error), visible=True)
            ended, events = True, []
        for quote in events[-1:]:
            change = quote.price / quote.previous_close - 1 if quote.previous_close else 0.0
            colour = "var(--success-text-color, #2a8)" if change >= 0 else "var(--danger-text-color, #c33)"
            ticker.object = (
                f"<span style='font-size:1.3em'><b>{escape(quote.symbol)}</b> {quote.price:,.2f} {quote.currency} "
                f"<span style='color:{colour}'>{change:+.2%}</span></span> &nbsp;{quote.time:%Y-%m-%d}"
            )
            ticker.visible = True
            chart.object = bench.candles(
                self.bars, symbol.value, indicators.value, start=dates.value[0], end=quote.time
            )
            ended = ended or quote.time.date() >= dates.value[1]
        if ended:
            follow.value = False

    def stop(self):
        """End the replay; what it drew stays."""
        if self.task is not None:
            self.task.stop()
            self.feed.close()
            self.feed = self.task = None


follower = Follower()
# Bound now: the module's names are gone when a session ends that had hardly begun.
pn.state.on_session_destroyed(lambda _context, stop=follower.stop: stop())
pn.state.location.sync(dataset, {"value": "dataset"})
choose_dataset()
pn.state.location.sync(symbol, {"value": "symbol"})
choose_strategy()
draw()
dataset.param.watch(choose_dataset, "value")
strategy.param.watch(choose_strategy, "value", precedence=0)
for widget in (symbol, dates, adjust, indicators, strategy, direction):
    widget.param.watch(draw, "value", precedence=1)
for widget in (follow, dataset, symbol, dates, adjust, speed):
    widget.param.watch(follower.switch, "value", precedence=2)

bench.page(
    "TRII Workbench · Market",
    sidebar=[
        *("### Prices", dataset, symbol, dates, adjust, indicators, follow, speed),
        *("### Backtest", strategy, parameters, direction),
    ],
    main=[pn.Column(message, ticker, chart), pn.Row(figures, proof)],
).servable(title="Market")
