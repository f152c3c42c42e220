"""Alerts.

Which rules watch, what fired and when, with the chart of that moment; what was told, what waits, and what is silent.
"""

from contextlib import suppress
from html import escape
from itertools import groupby
from operator import attrgetter

import panel as pn
import param

import workbench as wb
from workbench.alerts import rows
from workbench.alerts.evaluation import VerdictTable
from workbench.alerts.page import table_of
from workbench.charts.controls import Notice, Picture, button, field, gap, select
from workbench.charts.listing import Listing

pn.extension(sizing_mode="stretch_width")
bench = wb.open()

MOST = 500
EVERY = 3000
ALL, OPEN, KNOWN, HELD = "all", "open", "acknowledged", "held back"
STATES = {OPEN: {"acknowledged": False}, KNOWN: {"acknowledged": True}, HELD: {"held": True}, ALL: {}}
SPANS = {"1 hour": "1 h", "8 hours": "8 h", "1 day": "1 d", "1 week": "7 d"}
UNSENT = ("gathering", "sending", "waiting", "failed")
UNSERVED = "No service is up, so nothing is evaluated or sent; start one: workbench alerts serve, or JupyterLab"


def rule_names():
    """Return the names of the rules that there are, by id."""
    return {each.id: each.name for each in bench.alert_rules.list()}


def offer_rules(widget, nothing, names):
    """Offer the rules that there are, and what stands for none of them."""
    options = {nothing: ""} | {name: id_ for id_, name in names.items()}
    widget.param.update(options=options, value=widget.value if widget.value in names else "")


def spelled(field):
    """Return the symbol in a field as it is written, or the schedule that an alert about a run has in its place."""
    text = field.value.strip()
    known = [symbol for each in bench.alert_rules.list() for symbol in each.rule.symbols] if text else []
    known += [each.schedule.name for each in bench.jobs.list()] if text else []
    return next((each for each in known if each.casefold() == text.casefold()), text) or None


class Choice(param.Parameterized):
    """What the page's address keeps."""

    alert = param.Integer(default=0, doc="The number of the alert that is open; 0 for none.")


class Finder:
    """The search, and the list of the alerts that it found."""

    def __init__(self, choice, notice):
        self.choice, self.notice = choice, notice
        self.unknown = []
        self.state = select([OPEN, KNOWN, HELD, ALL], "State", 140)
        self.rule = select({"all": ""}, "Rule", 220)
        self.symbol = field("Symbol", "all")
        self.count = pn.pane.HTML(align="end")
        self.all = button("Acknowledge all shown", self.acknowledge, width=190, align="end")
        self.listing = Listing(height=260)
        self.view = pn.Column(pn.Row(self.state, self.rule, self.symbol, self.count, self.all), self.listing)
        for widget in (self.state, self.rule, self.symbol):
            widget.param.watch(self.search, "value")
        self.listing.param.watch(lambda event: choice.param.update(alert=int(event.new or 0)), "chosen")
        choice.param.watch(lambda event: self.listing.param.update(chosen=str(event.new)), "alert")

    def search(self, _event=None):
        """Find the alerts, and show them."""
        names = rule_names()
        offer_rules(self.rule, "all", names)
        wanted = {"rule": self.rule.value or None, "symbol": spelled(self.symbol), **STATES[self.state.value]}
        found = bench.alerts.list(most=MOST + 1, **wanted)
        shown = found[:MOST]
        nothing = "No alert is open." if self.state.value == OPEN else "There is no such alert."
        made = [(str(each.id), rows.alert_row(each, names)) for each in shown]
        self.listing.fill(rows.ALERT_HEAD, made, nothing=nothing)
        more = " shown, the newest; there are more" if len(found) > MOST else ""
        self.count.object = f"<b>{len(shown):,}</b> {'alert' if len(shown) == 1 else 'alerts'}{more}"
        self.unknown = [each.id for each in shown if not each.acknowledged]
        self.all.disabled = not self.unknown
        if not self.choice.alert and shown:
            self.choice.alert = shown[0].id
        self.listing.chosen = str(self.choice.alert)

    def acknowledge(self, _event):
        """Acknowledge all that is shown."""
        numbers = self.unknown
        what = "1 alert" if len(numbers) == 1 else f"{len(numbers):,} alerts"
        self.notice.attempt(lambda: bench.acknowledge(numbers), f"{what} acknowledged.")


class Reader:
    """The alert that is open: what was found, the chart of that moment, and what can be done about it."""

    def __init__(self, choice, notice):
        self.choice, self.notice = choice, notice
        self.alert = None
        self.head, self.picture = pn.pane.HTML(), Picture()
        know = lambda _event: notice.attempt(lambda: bench.acknowledge(self.alert.id))  # noqa: E731
        self.acknowledge = button("Acknowledge", know, button_type="primary")
        self.span = select(SPANS)
        self.snooze = button("Snooze the rule", self.sleep)
        self.silence = button("Silence the symbol", self.hush)
        self.buttons = pn.Row(self.acknowledge, gap(), self.span, self.snooze, self.silence)
        self.view = pn.Column(self.head, self.buttons, self.picture.view, visible=False)
        choice.param.watch(self.open, "alert")

    def open(self, _event=None):
        """Show the alert, and draw its moment."""
        if not self.choice.alert:
            self.view.visible = False
            return
        # Until all of it is there: what is left of another alert must not be taken for this one's.
        self.view.visible, self.alert = False, None
        self.picture.clear()
        try:
            self.alert = bench.alerts.get(self.choice.alert)
        except wb.WorkbenchError as error:
            self.head.object = escape(str(error))
        else:
            self.tell()
            self.picture.show(lambda: bench.moment(self.alert))
        self.buttons.visible = self.alert is not None
        self.view.visible = True

    def follow(self):
        """Show what has become of it."""
        if self.alert is not None and (now := bench.alerts.get(self.alert.id)) != self.alert:
            self.alert = now
            self.tell()

    def tell(self):
        """Show what is known of the alert."""
        self.head.object = rows.alert_html(self.alert)
        self.acknowledge.disabled = self.alert.acknowledged is not None
        self.snooze.disabled = self.alert.rule not in rule_names()
        self.silence.disabled = self.alert.symbol is None

    def sleep(self, _event):
        """Snooze the alert's rule."""
        name = rule_names().get(self.alert.rule, "")
        done = f"The rule {name} tells nobody for {self.span.value}."
        self.notice.attempt(lambda: bench.snooze(self.alert.rule, self.span.value), done)

    def hush(self, _event):
        """Silence the alert's symbol."""
        symbol = self.alert.symbol
        done = f"Nobody is told of {symbol} for {self.span.value}."
        self.notice.attempt(lambda: bench.silence(self.span.value, symbol=symbol), done)


class Rules:
    """The rules and what each says now; snoozed and woken."""

    def __init__(self, notice):
        self.notice = notice
        self.kept, self.verdicts = {}, {}
        self.note, self.said = pn.pane.HTML(align="center"), pn.pane.HTML()
        self.again = button("Look now", self.look)
        self.span = select(SPANS)
        self.snooze = button("Snooze", lambda _: self.sleep(self.span.value, f"tells nobody for {self.span.value}"))
        self.wake = button("End the snooze", lambda _: self.sleep(None, "tells again"))
        self.listing = Listing(height=260)
        buttons = pn.Row(self.again, gap(), self.span, self.snooze, self.wake, self.note)
        self.view = pn.Column(buttons, self.listing, self.said)
        self.listing.param.watch(self.offer, "chosen")

    def follow(self):
        """Show the rules, and what they said last."""
        self.kept = {each.id: each for each in bench.alert_rules.list()}
        now, usual = bench.clock(), bench.settings.alert_channels
        made = [(id_, rows.rule_row(each, self.verdicts.get(id_, ()), usual, now)) for id_, each in self.kept.items()]
        nothing = "There is no rule yet; arm one in a notebook with bench.arm, or: workbench alerts add"
        self.listing.fill(rows.RULE_HEAD, made, nothing=nothing)
        self.offer()

    def look(self, _event=None):
        """Say what each rule says now; nothing is raised by it."""
        self.again.loading = True
        self.notice.attempt(self.evaluate)
        self.again.loading = False

    def evaluate(self):
        """Take down what each rule says now."""
        found = bench.evaluate_rules(record=False)
        of_rule = attrgetter("rule.id")
        self.verdicts = {id_: list(each) for id_, each in groupby(sorted(found.verdicts, key=of_rule), of_rule)}
        self.note.object = f"<span style='opacity:.75'>Looked at {found.at:%Y-%m-%d %H:%M:%S} UTC</span>"

    def offer(self, _event=None):
        """Say what the chosen rule says of each symbol, and offer what can be done with it."""
        rule = self.kept.get(self.listing.chosen)
        self.snooze.disabled = rule is None
        self.wake.disabled = rule is None or rule.snoozed is None or rule.snoozed <= bench.clock()
        verdicts = self.verdicts.get(self.listing.chosen, ()) if rule else ()
        self.said.object = table_of(VerdictTable(tuple(verdicts))) if verdicts else ""

    def sleep(self, span, done):
        """Snooze the chosen rule, or wake it."""
        rule = self.kept[self.listing.chosen]
        self.notice.attempt(lambda: bench.snooze(rule.id, span), f"The rule {rule.name} {done}.")


class Messages:
    """What waits or could not be sent, and why."""

    def __init__(self):
        self.found = []
        self.sent = pn.widgets.Checkbox(name="those that were sent, too", width=220, sizing_mode="fixed")
        self.count, self.words = pn.pane.HTML(), pn.pane.HTML()
        self.listing = Listing(height=300)
        self.view = pn.Column(pn.Row(self.sent, self.count), self.listing, self.words)
        self.sent.param.watch(lambda _event: self.follow(), "value")
        self.listing.param.watch(self.read, "chosen")

    def follow(self):
        """Show the messages."""
        self.found = bench.outbox.messages(state=() if self.sent.value else UNSENT, most=MOST)
        failed = sum(each.state == "failed" for each in self.found)
        self.count.object = f"<b>{len(self.found):,}</b> shown, {failed:,} given up"
        made = [(str(each.id), rows.message_row(each)) for each in self.found]
        self.listing.fill(rows.MESSAGE_HEAD, made, nothing="Nothing waits, and nothing has failed.")
        self.read()

    def read(self, _event=None):
        """Show the words of the chosen message, and why it was not taken."""
        chosen = next((each for each in self.found if str(each.id) == self.listing.chosen), None)
        self.words.object = "" if chosen is None else rows.message_html(chosen)


class Quiet:
    """The silences that are in force; made and ended."""

    def __init__(self, notice):
        self.notice = notice
        self.found = []
        self.rule = select({"any": ""}, "Rule", 190)
        self.symbol = field("Symbol", "any", 120)
        self.span = select(SPANS, "For")
        self.reason = field("Reason", width=260)
        make = button("Silence", self.add, width=120, button_type="primary", align="end")
        end = lambda _: notice.attempt(lambda: bench.silences.remove(self.listing.chosen), "It is told again.")  # noqa: E731
        self.end = button("End the chosen one", end, align="end", disabled=True)
        self.listing = Listing(height=320)
        form = pn.Row(self.rule, self.symbol, self.span, self.reason, make, gap(), self.end)
        self.view = pn.Column(form, self.listing)
        self.listing.param.watch(self.offer, "chosen")

    def follow(self):
        """Show the silences."""
        names, self.found = rule_names(), bench.silences.list()
        offer_rules(self.rule, "any", names)
        made = [(each.id, rows.silence_row(each, names)) for each in self.found]
        self.listing.fill(rows.SILENCE_HEAD, made, nothing="Nothing is silent.")
        self.offer()

    def offer(self, _event=None):
        """Offer to end the chosen silence."""
        self.end.disabled = self.listing.chosen not in {each.id for each in self.found}

    def add(self, _event):
        """Make a silence."""
        about = {"rule": self.rule.value or None, "symbol": spelled(self.symbol), "reason": self.reason.value}
        done = f"Nobody is told of it for {self.span.value}."
        self.notice.attempt(lambda: bench.silence(self.span.value, **about), done)


def look():
    """See what has changed; records that do not answer for a moment are asked the next time."""
    with suppress(wb.WorkbenchError):
        unserved.visible = not bench.alert_services.served()
        for part in (finder.search, reader.follow, rules.follow, messages.follow, quiet.follow):
            part()


choice, notice = Choice(), Notice(look)
pn.state.location.sync(choice, ["alert"])
unserved = pn.pane.Alert(UNSERVED, alert_type="warning", visible=False, margin=(0, 10))
finder, messages = Finder(choice, notice), Messages()
reader, rules, quiet = Reader(choice, notice), Rules(notice), Quiet(notice)
look()
reader.open()
# Not dynamic: Panel 1.9.4 then asks another host for the style of what changes in a tab that is not shown.
shown = [pn.Column(finder.view, reader.view), rules.view, messages.view, quiet.view]
tabs = pn.Tabs(*zip(("Alerts", "Rules", "Messages", "Silences"), shown, strict=True))
tabs.param.watch(lambda event: rules.look() if event.new == 1 else None, "active")
pn.state.add_periodic_callback(look, period=EVERY)
bench.page("TRII Workbench · Alerts", sidebar=[], main=[pn.Column(unserved, notice.view, tabs)]).servable(
    title="Alerts"
)
