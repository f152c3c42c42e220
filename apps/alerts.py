"""Alerts.

Which rules watch, what fired and when, with the chart of that moment; what was told, what waits, and what is silent.
"""

from contextlib import suppress
from html import escape

import panel as pn
import param

import workbench as wb
from workbench.alerts.moment import picture_of_alert
from workbench.charts.badges import badge
from workbench.charts.listing import Listing

pn.extension(sizing_mode="stretch_width")
bench = wb.open()

MOST = 500
EVERY = 3000
ALL, OPEN, KNOWN, HELD = "all", "open", "acknowledged", "held back"
SPANS = {"1 hour": "1 h", "8 hours": "8 h", "1 day": "1 d", "1 week": "7 d"}
TONES = {"urgent": "bad", "high": "warning", "normal": "busy", "low": "plain"}
STATES = {"sent": "good", "failed": "bad", "waiting": "warning", "sending": "busy", "gathering": "busy"}
VERDICTS = {"fired": "bad", "near": "warning", "quiet": "good", "unknown": "plain"}
UNSENT = ("gathering", "sending", "waiting", "failed")
SMALL = {"sizing_mode": "fixed", "width": 150}
ALERT_HEAD = [("Raised (UTC)", "160px"), ("Alert", ""), ("Rule", "150px"), ("Priority", "92px"), ("State", "130px")]
RULE_HEAD = [("Rule", "170px"), ("Watches", ""), ("Symbols", "150px"), ("Tells", "120px"), ("State", "190px")]
MESSAGE_HEAD = [
    *(("Next (UTC)", "160px"), ("Channel", "90px"), ("Topic", "170px"), ("Alerts", "60px")),
    *(("Tried", "55px"), ("State", "105px"), ("Why", "")),
]
SILENCE_HEAD = [("Until (UTC)", "160px"), ("Silent is", ""), ("Reason", "")]


def moment(instant):
    """Return an instant as people read it."""
    return "–" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S}"


def state_of(alert):
    """Return what became of an alert, and the tone of it."""
    if alert.acknowledged:
        return "acknowledged", "good"
    return (alert.held, "plain") if alert.held else ("open", "warning")


class Choice(param.Parameterized):
    """What the page's address keeps."""

    alert = param.Integer(default=0, doc="The number of the alert that is open; 0 for none.")


class Notice:
    """What was done, or could not be, in a sentence."""

    def __init__(self):
        self.view = pn.pane.Alert(visible=False, margin=(0, 10))

    def attempt(self, act, done=""):
        """Do something; say so, or why it could not be done."""
        try:
            act()
        except wb.WorkbenchError as error:
            self.view.param.update(object=escape(str(error)), alert_type="warning", visible=True)
            return False
        self.view.param.update(object=escape(done), alert_type="success", visible=bool(done))
        return True


class Finder:
    """The search, and the list of the alerts that it found."""

    def __init__(self, choice, notice):
        self.choice, self.notice = choice, notice
        self.found = None
        self.names = {}
        self.state = pn.widgets.Select(name="State", options=[OPEN, KNOWN, HELD, ALL], value=OPEN)
        self.rule = pn.widgets.Select(name="Rule", options={"all": ""})
        self.symbol = pn.widgets.TextInput(name="Symbol", placeholder="all")
        self.widgets = [self.state, self.rule, self.symbol]
        self.count = pn.pane.HTML()
        self.listing = Listing(height=250)
        self.all = pn.widgets.Button(name="Acknowledge all shown", width=190, sizing_mode="fixed")
        self.all.on_click(self.acknowledge)
        self.view = pn.Column(self.listing, pn.Row(self.count, self.all))
        for widget in self.widgets:
            widget.param.watch(self.search, "value")
        self.listing.param.watch(lambda event: choice.param.update(alert=int(event.new or 0)), "chosen")
        choice.param.watch(lambda event: self.listing.param.update(chosen=str(event.new)), "alert")

    def search(self, _event=None):
        """Find the alerts, and show them if they have changed."""
        names = {each.id: each.name for each in bench.alert_rules.list()}
        known = {ALL: None, OPEN: False, KNOWN: True, HELD: None}[self.state.value]
        wanted = {"rule": self.rule.value or None, "symbol": self.symbol.value.strip().upper() or None}
        found = bench.alerts.list(acknowledged=known, most=MOST + 1, **wanted)
        if self.state.value == HELD:
            found = [each for each in found if each.held]
        if names != self.names:
            self.rule.param.update(
                options={"all": ""} | {name: id_ for id_, name in names.items()},
                value=self.rule.value if self.rule.value in names else "",
            )
        if (found, names) != (self.found, self.names):
            self.found, self.names = list(found), names
            self.show()

    def show(self):
        """Show what was found."""
        shown = self.found[:MOST]
        nothing = "No alert is open." if self.state.value == OPEN else "There is no such alert."
        self.listing.fill(ALERT_HEAD, [(str(each.id), self.row(each)) for each in shown], nothing=nothing)
        more = f", the newest {MOST:,} of more" if len(self.found) > MOST else ""
        self.count.object = f"<b>{len(shown):,}</b> {'alert' if len(shown) == 1 else 'alerts'}{more}"
        self.all.disabled = not self.unknown()
        if not self.choice.alert and shown:
            self.choice.alert = shown[0].id
        self.listing.chosen = str(self.choice.alert)

    def row(self, alert):
        """Return an alert's cells."""
        rule = self.names.get(alert.rule, "removed" if alert.rule else alert.source)
        priority = [(alert.priority, TONES[alert.priority])]
        return [moment(alert.raised), alert.subject, rule, priority, [state_of(alert)]]

    def unknown(self):
        """Return the numbers of the alerts shown that nobody has acknowledged."""
        return [each.id for each in self.found[:MOST] if not each.acknowledged]

    def acknowledge(self, _event):
        """Acknowledge all that is shown."""
        numbers = self.unknown()
        if self.notice.attempt(lambda: bench.acknowledge(numbers), f"{len(numbers):,} alerts acknowledged."):
            self.search()


class Reader:
    """The alert that is open: what was found, the chart of that moment, and what can be done about it."""

    def __init__(self, choice, notice, changed):
        self.choice, self.notice, self.changed = choice, notice, changed
        self.alert = None
        self.head, self.why = pn.pane.HTML(), pn.pane.HTML(visible=False)
        # Hidden by what is around it: Panel 1.9.4 cannot hide a picture that it has drawn.
        self.chart = bench.pane()
        self.drawn = pn.Column(self.chart, visible=False)
        self.acknowledge = pn.widgets.Button(name="Acknowledge", button_type="primary", **SMALL)
        self.span = pn.widgets.Select(options=SPANS, width=110, sizing_mode="fixed")
        self.snooze = pn.widgets.Button(name="Snooze the rule", **SMALL)
        self.silence = pn.widgets.Button(name="Silence the symbol", **SMALL)
        self.acknowledge.on_click(self.know)
        self.snooze.on_click(self.sleep)
        self.silence.on_click(self.hush)
        buttons = pn.Row(
            self.acknowledge, pn.Spacer(width=24, sizing_mode="fixed"), self.span, self.snooze, self.silence
        )
        self.view = pn.Column(self.head, buttons, self.why, self.drawn, visible=False)
        choice.param.watch(self.open, "alert")

    def open(self, _event=None):
        """Show the alert, and draw its moment."""
        if not self.choice.alert:
            self.view.visible = False
            return
        # Until all of it is there: what is left of another alert must not be taken for this one's.
        self.view.visible, self.chart.object = False, None
        try:
            self.alert = bench.alerts.get(self.choice.alert)
        except wb.WorkbenchError:
            self.alert = None
            self.head.object = f"There is no alert {self.choice.alert}."
        else:
            self.tell()
            self.draw()
        for button in (self.acknowledge, self.span, self.snooze, self.silence):
            button.visible = self.alert is not None
        self.view.visible = True

    def follow(self):
        """Show what has become of it."""
        if self.alert is not None and (now := bench.alerts.get(self.alert.id)) != self.alert:
            self.alert = now
            self.tell()

    def tell(self):
        """Show what is known of the alert."""
        alert, names = self.alert, {each.id: each for each in bench.alert_rules.list()}
        rule = names.get(alert.rule)
        known = (
            f" by {escape(alert.acknowledged_by or '')}, {moment(alert.acknowledged)} UTC" if alert.acknowledged else ""
        )
        escalated = f" · others were told at {moment(alert.escalated)} UTC" if alert.escalated else ""
        self.head.object = (
            f"<div style='font-size:1.3em;font-weight:600;margin:2px 0 6px'>{escape(alert.subject)}</div>"
            f"<div style='margin-bottom:6px'>{escape(alert.text)}</div>"
            f"<div>{badge(alert.priority, TONES[alert.priority])} {badge(*state_of(alert))}{known} "
            f"<span style='opacity:.75'>raised {moment(alert.raised)} UTC{escalated}</span></div>"
        )
        self.acknowledge.disabled = alert.acknowledged is not None
        self.snooze.disabled, self.silence.disabled = rule is None, alert.symbol is None

    def draw(self):
        """Draw the moment of firing; say in a sentence why there is nothing to draw."""
        try:
            self.chart.object = picture_of_alert(
                self.alert, bench.alert_rules.list(), bench._closed_bars, bench.settings.dataset
            )
        except wb.WorkbenchError as error:
            self.why.param.update(
                object=f"<div style='opacity:.75'>No chart: {escape(str(error))}.</div>", visible=True
            )
        else:
            self.why.visible = False
        self.drawn.visible = self.chart.object is not None

    def know(self, _event):
        """Acknowledge the alert."""
        if self.notice.attempt(lambda: bench.acknowledge(self.alert.id)):
            self.follow()
            self.changed()

    def sleep(self, _event):
        """Snooze the alert's rule."""
        name = bench.alert_rules.get(self.alert.rule).name
        done = f"The rule {name} tells nobody for {self.span.value}."
        if self.notice.attempt(lambda: bench.snooze(self.alert.rule, self.span.value), done):
            self.changed()

    def hush(self, _event):
        """Silence the alert's symbol."""
        symbol = self.alert.symbol
        done = f"Nobody is told of {symbol} for {self.span.value}."
        if self.notice.attempt(lambda: bench.silence(self.span.value, symbol=symbol), done):
            self.changed()


class Rules:
    """The rules and what each says now; snoozed and woken."""

    def __init__(self, notice, changed):
        self.notice, self.changed = notice, changed
        self.found, self.verdicts, self.at = None, {}, ""
        self.listing = Listing(height=360)
        self.note = pn.pane.HTML()
        self.again = pn.widgets.Button(name="Look now", **SMALL)
        self.span = pn.widgets.Select(options=SPANS, width=110, sizing_mode="fixed")
        self.snooze = pn.widgets.Button(name="Snooze", **SMALL)
        self.wake = pn.widgets.Button(name="End the snooze", **SMALL)
        self.again.on_click(self.look)
        self.snooze.on_click(lambda _event: self.sleep(self.span.value, f"tells nobody for {self.span.value}"))
        self.wake.on_click(lambda _event: self.sleep(None, "tells again"))
        space = pn.Spacer(width=24, sizing_mode="fixed")
        self.view = pn.Column(self.listing, pn.Row(self.again, space, self.span, self.snooze, self.wake), self.note)
        self.listing.param.watch(self.offer, "chosen")

    def follow(self):
        """Show the rules if they have changed."""
        now, found = bench.clock(), bench.alert_rules.list()
        key = [(each, each.snoozed is not None and each.snoozed > now) for each in found]
        if key != self.found:
            self.found = key
            self.show()

    def look(self, _event=None):
        """Say what each rule says now; nothing is raised by it."""
        self.again.loading = True
        try:
            found = bench.evaluate_rules(record=False)
        except wb.WorkbenchError as error:
            self.note.object = escape(str(error))
        else:
            self.verdicts = {}
            for each in found.verdicts:
                self.verdicts.setdefault(each.rule.id, []).append(each)
            self.at = f"Looked at {found.at:%Y-%m-%d %H:%M:%S} UTC."
            self.show()
        self.again.loading = False

    def show(self):
        """Show the rules and their state."""
        nothing = "There is no rule yet; arm one in a notebook with bench.arm, or: workbench alerts add"
        rows = [(str(rule.id), self.row(rule, is_snoozed)) for rule, is_snoozed in self.found]
        self.listing.fill(RULE_HEAD, rows, nothing=nothing)
        self.note.object = self.at
        self.offer()

    def row(self, rule, is_snoozed):
        """Return a rule's cells."""
        channels = ", ".join(rule.policy.channels or bench.settings.alert_channels)
        symbols = ", ".join(rule.rule.symbols) or "–"
        state = [(f"snoozed until {rule.snoozed:%m-%d %H:%M}", "plain")] if is_snoozed else self.said(rule)
        return [rule.name, rule.rule.condition, symbols, channels, state]

    def said(self, rule):
        """Return what a rule says of its symbols, the most urgent first."""
        expires = rule.policy.expires
        if expires is not None and expires <= bench.clock():
            return [("expired", "plain")]
        found = self.verdicts.get(rule.id)
        if not found:
            return [("armed", "busy")]
        counts = {state: sum(each.state == state for each in found) for state in VERDICTS}
        return [(f"{count} {state}", VERDICTS[state]) for state, count in counts.items() if count][:2]

    def offer(self, _event=None):
        """Offer what can be done with the rule that is chosen."""
        chosen = {str(rule.id): is_snoozed for rule, is_snoozed in self.found or []}.get(self.listing.chosen)
        self.snooze.disabled, self.wake.disabled = chosen is None, not chosen

    def sleep(self, span, done):
        """Snooze the chosen rule, or wake it."""
        rule = self.listing.chosen
        names = {str(each.id): each.name for each, _ in self.found}
        if self.notice.attempt(lambda: bench.snooze(rule, span), f"The rule {names.get(rule, rule)} {done}."):
            self.changed()


class Messages:
    """What waits or could not be sent, and why."""

    def __init__(self):
        self.found = None
        self.sent = pn.widgets.Checkbox(name="those that were sent, too", value=False)
        self.listing = Listing(height=420)
        self.count = pn.pane.HTML()
        self.view = pn.Column(pn.Row(self.sent, self.count), self.listing)
        self.sent.param.watch(lambda _event: self.follow(), "value")

    def follow(self):
        """Show the messages if they have changed."""
        found = bench.outbox.messages(state=() if self.sent.value else UNSENT, most=MOST)
        if found != self.found:
            self.found = found
            failed = sum(each.state == "failed" for each in found)
            self.count.object = f"<b>{len(found):,}</b> shown, {failed:,} given up"
            rows = [(str(each.id), self.row(each)) for each in found]
            self.listing.fill(MESSAGE_HEAD, rows, nothing="Nothing waits, and nothing has failed.")

    def row(self, message):
        """Return a message's cells."""
        why = message.error or message.subject
        when = message.settled if message.state in ("sent", "failed") else message.not_before
        cells = [moment(when), message.channel, message.topic]
        cells += [f"{message.alerts:,}", f"{message.attempts:,}"]
        return [*cells, [(message.state, STATES[message.state])], why]


class Quiet:
    """The silences that are in force; made and ended."""

    def __init__(self, notice, changed):
        self.notice, self.changed = notice, changed
        self.found = None
        self.listing = Listing(height=260)
        self.rule = pn.widgets.Select(name="Rule", options={"any": ""}, width=180, sizing_mode="fixed")
        self.symbol = pn.widgets.TextInput(name="Symbol", placeholder="any", width=110, sizing_mode="fixed")
        self.span = pn.widgets.Select(name="For", options=SPANS, width=110, sizing_mode="fixed")
        self.reason = pn.widgets.TextInput(name="Reason", width=260, sizing_mode="fixed")
        self.make = pn.widgets.Button(name="Silence", button_type="primary", align="end", **SMALL)
        self.end = pn.widgets.Button(name="End the chosen one", disabled=True, **SMALL)
        self.make.on_click(self.add)
        self.end.on_click(self.remove)
        self.listing.param.watch(self.offer, "chosen")
        row = pn.FlexBox(self.rule, self.symbol, self.span, self.reason, self.make, align_items="end")
        self.view = pn.Column(row, self.listing, self.end)

    def follow(self):
        """Show the silences if they have changed."""
        names = {each.id: each.name for each in bench.alert_rules.list()}
        found = (bench.silences.list(), names)
        if found != self.found:
            self.found = found
            options = {"any": ""} | {name: id_ for id_, name in names.items()}
            self.rule.param.update(options=options, value=self.rule.value if self.rule.value in names else "")
            rows = [(each.id, self.row(each, names)) for each in found[0]]
            self.listing.fill(SILENCE_HEAD, rows, nothing="Nothing is silent.")
            self.offer()

    def row(self, silence, names):
        """Return a silence's cells."""
        about = ", ".join(f"{name} {names.get(value, value)}" for name, value in silence.about.items())
        return [moment(silence.until), about, silence.reason or "–"]

    def offer(self, _event=None):
        """Offer to end the chosen silence."""
        self.end.disabled = self.listing.chosen not in {each.id for each in self.found[0]}

    def add(self, _event):
        """Make a silence."""
        about = {"rule": self.rule.value or None, "symbol": self.symbol.value.strip().upper() or None}
        act = lambda: bench.silence(self.span.value, reason=self.reason.value, **about)  # noqa: E731
        if self.notice.attempt(act, f"Nobody is told of it for {self.span.value}."):
            self.changed()

    def remove(self, _event):
        """End the chosen silence."""
        if self.notice.attempt(lambda: bench.silences.remove(self.listing.chosen), "It is told again."):
            self.changed()


def look():
    """See what has changed; records that do not answer for a moment are asked the next time."""
    with suppress(wb.WorkbenchError):
        for part in (finder.search, reader.follow, rules.follow, messages.follow, quiet.follow):
            part()


choice, notice = Choice(), Notice()
pn.state.location.sync(choice, ["alert"])
finder, messages = Finder(choice, notice), Messages()
reader, rules, quiet = Reader(choice, notice, look), Rules(notice, look), Quiet(notice, look)
look()
reader.open()
# Not dynamic: Panel 1.9.4 then asks another host for the style of what changes in a tab that is not shown.
tabs = pn.Tabs(
    ("Alerts", pn.Column(finder.view, reader.view)),
    ("Rules", rules.view),
    ("Messages", messages.view),
    ("Silences", quiet.view),
)
tabs.param.watch(lambda event: rules.look() if event.new == 1 else None, "active")
pn.state.add_periodic_callback(look, period=EVERY)
bench.page(
    "TRII Workbench · Alerts",
    sidebar=["### Find", *finder.widgets],
    main=[pn.Column(notice.view, tabs)],
).servable(title="Alerts")
