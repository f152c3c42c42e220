"""Reports.

What ran, when, with which parameters, and how it ended; its report, two runs side by side, and once more.
"""

import json
from contextlib import suppress
from html import escape

import pandas as pd
import panel as pn
import param

import workbench as wb
from workbench.charts.badges import pairs_table

pn.extension("tabulator", sizing_mode="stretch_width")
bench = wb.open()
dark = pn.config.theme == "dark"

OPEN = ["waiting", "due", "claimed", "running"]
ENDED = ["succeeded", "failed", "timed out", "limit", "orphaned", "cancelled", "skipped"]
GOOD, BAD, BUSY, QUIET = (
    ("#57bb8a", "#ef8e86", "#7fb0f0", "#a3adb8") if dark else ("#1b7a45", "#b3261e", "#2766c4", "#5d6b7a")
)
COLOURS = {**dict.fromkeys(ENDED, BAD), **dict.fromkeys(OPEN, BUSY)}
COLOURS |= {"succeeded": GOOD, "cancelled": QUIET, "skipped": QUIET}
MOST_FILES = 12
WAITS = "The run waits, as no service is up; start one: workbench schedule serve, or JupyterLab"
TEXTS = {"now": "then", "pinned": "pinned"}
# The colour of a state is to be read in the chosen row, too.
CHOSEN = ".tabulator .tabulator-row.tabulator-selected, .tabulator .tabulator-row.tabulator-selected:hover {"
CHOSEN += " background: color-mix(in srgb, #3a78d0 24%, transparent); color: inherit; }"
LOOK = {
    "show_index": False, "disabled": True, "sortable": False, "selectable": 1, "hidden_columns": ["run"],
    "height": 300, "layout": "fit_columns", "titles": {"due": "due (UTC)"}, "stylesheets": [CHOSEN],
    "widths": {"name": 120, "state": 100, "due": 140, "took": 80, "parameters": 260},
}  # fmt: skip


def moment(instant):
    """Return an instant as people read it."""
    return "–" if instant is None or pd.isna(instant) else f"{instant:%Y-%m-%d %H:%M:%S}"


def text(value):
    """Return a parameter's value as it is written in a field, and read from there."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Choice(param.Parameterized):
    """What the page's address keeps."""

    run = param.String(doc="The id of the run that is open.")


class Finder:
    """The search, and the table of what it found."""

    def __init__(self, choice):
        self.choice = choice
        self.found = self.mark_of_all = None
        self.text = pn.widgets.TextInput(name="Search", placeholder="name, parameter, reason, id")
        self.notebook = pn.widgets.Select(name="Notebook", options={"all": ""}, value="")
        self.states = pn.widgets.MultiChoice(name="State", options=[*OPEN, *ENDED], placeholder="all")
        self.since = pn.widgets.DatePicker(name="From")
        self.until = pn.widgets.DatePicker(name="To")
        self.parameter = pn.widgets.TextInput(name="Parameter", placeholder="symbols = AAPL")
        self.widgets = [self.text, self.notebook, self.states, self.since, self.until, self.parameter]
        self.message = pn.pane.Alert(alert_type="warning", visible=False)
        self.count = pn.pane.HTML()
        self.table, self.holder = None, pn.Column(height=300)
        for widget in self.widgets:
            widget.param.watch(self.search, "value")
        choice.param.watch(self.mark, "run")

    def search(self, _event=None):
        """Find the runs, and show them if they have changed."""
        name, sign, value = (part.strip() for part in self.parameter.value.partition("="))
        if name and not (sign and value):
            told = f"{self.parameter.value!r} is no parameter with its value; write it as symbols = AAPL"
            self.message.param.update(object=escape(told), visible=True)
            return
        try:
            self.mark_of_all = bench.history.mark()
            self.offer_notebooks()
            found = bench.runs(
                notebook=self.notebook.value or None,
                state=self.states.value or None,
                text=self.text.value.strip(),
                since=self.since.value,
                until=self.until.value,
                parameter={name: value} if value else None,
            )
        except wb.WorkbenchError as error:
            self.message.param.update(object=escape(str(error)), visible=True)
            return
        self.message.visible = False
        if self.found is None or not found.equals(self.found):
            self.found = found
            self.show()

    def follow(self):
        """Search again once something has become of a run."""
        if bench.history.mark() != self.mark_of_all:
            self.search()

    def offer_notebooks(self):
        """Offer the notebooks that have runs; those of one name are told apart by their folders."""
        paths = bench.history.notebooks()
        names = [path.stem for path in paths]
        books = {
            path.stem if names.count(path.stem) == 1 else f"{path.stem} in {path.parent}": str(path) for path in paths
        }
        if self.notebook.options != {"all": "", **books}:
            self.notebook.param.update(options={"all": "", **books}, value=self.notebook.value)

    def show(self):
        """Show what was found."""
        shown = self.found.reset_index()
        shown["took"] = ["" if pd.isna(each) else f"{each:,.1f} s" for each in shown["seconds"]]
        shown["due"] = [moment(each)[:16] for each in shown["due"]]
        shown["reason"] = shown["reason"].fillna("")
        runs = list(shown["run"])
        # A new table: Panel 1.9.4 may take a click on one whose data have changed for another row's.
        self.table = pn.widgets.Tabulator(
            shown[["run", "name", "state", "due", "took", "parameters", "reason"]], **LOOK
        )
        self.table.on_click(lambda event: self.choice.param.update(run=runs[event.row]))
        self.table.style.map(lambda state: f"color: {COLOURS.get(state, QUIET)}; font-weight: 600", subset=["state"])
        self.holder[:] = [self.table]
        self.count.object = f"<b>{len(shown)}</b> {'run' if len(shown) == 1 else 'runs'}"
        if not self.choice.run and len(shown):
            ran = shown[~shown["state"].isin(["skipped", "cancelled"])]
            self.choice.run = str((ran if len(ran) else shown)["run"].iloc[0])
        self.mark()

    def mark(self, _event=None):
        """Mark the row of the run that is open."""
        if self.table is not None:
            chosen = self.table.value["run"] == self.choice.run
            self.table.selection = [place for place, is_open in enumerate(chosen) if is_open]


class Reader:
    """The run that is open: its report, beside another one, what is known of it, and once more."""

    def __init__(self, choice):
        self.choice = choice
        self.state = None
        self.head = pn.pane.HTML()
        self.message = pn.pane.HTML()
        self.report, self.compared, self.details = pn.pane.HTML(), pn.pane.HTML(), pn.pane.HTML()
        self.other = pn.widgets.Select(name="Compare with")
        self.inputs = pn.FlexBox()
        self.again = pn.widgets.Button(name="Run again", button_type="primary", width=160, sizing_mode="fixed")
        self.answer = pn.pane.HTML()
        self.downloads = pn.FlexBox()
        tabs = [("Report", self.report), ("Compare", pn.Column(self.other, self.compared))]
        tabs.append(("Details", pn.Column(self.details, self.downloads)))
        note = pn.pane.HTML("A change holds for this one run. An unchanged run sees the days that it saw before.")
        tabs.append(("Run again", pn.Column(note, self.inputs, self.again, self.answer)))
        # Not dynamic: Panel 1.9.4 then asks another host for the style of what changes in a tab that is not shown.
        self.tabs = pn.Tabs(*tabs)
        self.view = pn.Column(self.head, self.message, self.tabs, visible=False)
        choice.param.watch(self.open, "run")
        self.other.param.watch(self.compare, "value")
        self.tabs.param.watch(self.compare, "active")
        self.again.on_click(self.rerun)

    def open(self, _event=None):
        """Show the run; say in a sentence why there is nothing to read, if so."""
        if not self.choice.run:
            return
        # Until all of it is there: what is left of another run must not be taken for this one's.
        self.view.visible, self.tabs.visible = True, False
        self.report.object = self.compared.object = self.answer.object = self.message.object = ""
        try:
            run = bench.history.run(self.choice.run)
        except wb.WorkbenchError as error:
            self.head.object, self.state = escape(str(error)), None
            return
        self.name(run)
        try:
            self.report.object = bench.history.framed(run.id, dark=dark)
        except wb.WorkbenchError as error:
            self.message.object = f"<div style='margin:8px 0;color:{QUIET}'>{escape(str(error))}</div>"
        self.describe(run)
        self.compare()
        self.tabs.visible = True

    def follow(self):
        """Show the run anew when its state has changed."""
        if self.choice.run and self.state in OPEN and bench.history.run(self.choice.run).state != self.state:
            self.open()

    def name(self, run):
        """Show which run it is."""
        self.state = run.state
        colour = COLOURS.get(run.state, QUIET)
        self.head.object = (
            f"<div style='font-size:1.35em;font-weight:600'>{escape(run.job.name)} "
            f"<span style='color:{colour};font-size:.72em;border:1px solid {colour};border-radius:4px;padding:1px 8px;"
            f"vertical-align:middle'>{escape(run.state)}</span></div>"
            f"<div>due {moment(run.due)} UTC · {escape(run.job.notebook.name)} · run {escape(run.id[:8])}"
            f"{' · ' + escape(run.reason) if run.reason else ''}</div>"
        )

    def describe(self, run):
        """Show what is known of the run, and offer what can be done with it."""
        values = bench.history.parameters(run.id)
        self.details.object = self.told(run, values)
        self.offer_files(run)
        self.offer_parameters(values)
        self.offer_others(run)

    def told(self, run, values):
        """Return all that is known of a run, as a table."""
        known = [("run", run.id), ("notebook", run.job.notebook), ("kind", run.kind), ("state", run.state)]
        known += [("reason", run.reason or "–"), ("due", moment(run.due)), ("started", moment(run.started))]
        known += [("finished", moment(run.finished)), ("notebook as it was", TEXTS[run.job.mode])]
        known += [("its text (SHA-256)", run.sha256 or "–"), ("data as of", moment(run.as_of))]
        known += [(f"parameter {name}", value) for name, value in values.items()]
        for each in bench.history.attempts(run.id):
            span = f"{moment(each.started)} to {moment(each.finished)}"
            known.append((f"attempt {each.n}", f"{each.state}, {span}{', ' + each.reason if each.reason else ''}"))
        return pairs_table(known)

    def offer_files(self, run):
        """Offer what the run left: to be saved, since none of it is shown but in a frame."""
        look = {"button_type": "default", "sizing_mode": "fixed", "width": 260}
        paths = bench.history.files(run.id)
        offered = [(path, f"Save {path.name}") for path in paths[:MOST_FILES]]
        self.downloads[:] = [pn.widgets.FileDownload(str(path), label=label, **look) for path, label in offered]
        if len(paths) > MOST_FILES:
            self.downloads.append(pn.pane.HTML(f"{len(paths) - MOST_FILES} more in {escape(str(run.folder))}"))

    def offer_parameters(self, values):
        """Offer the run's parameters for a change."""
        self.before = {name: text(value) for name, value in values.items()}
        look = {"sizing_mode": "fixed", "width": 260}
        self.inputs[:] = [pn.widgets.TextInput(name=name, value=value, **look) for name, value in self.before.items()]

    def offer_others(self, run):
        """Offer the other runs of the notebook, the one before it first."""
        found = bench.history.search(notebook=run.job.notebook, most=100)
        others = [each for each in found if each.id != run.id and each.folder]
        earlier = [each for each in others if each.due <= run.due]
        ordered = [*earlier, *(each for each in reversed(others) if each.due > run.due)]
        frame = bench.history.frame(ordered)
        options = {
            " · ".join(filter(None, [moment(each.due), each.job.name, each.state, given, each.id[:8]])): each.id
            for each, given in zip(ordered, frame["parameters"], strict=True)
        }
        self.other.param.update(options=options, value=next(iter(options.values()), None))

    def compare(self, _event=None):
        """Compare with the chosen run, the earlier one of both first; only while somebody looks."""
        if self.tabs.active != 1 or not self.choice.run:
            return
        if not self.other.value:
            self.compared.object = "There is no other run of this notebook with files yet."
            return
        try:
            pair = sorted((self.choice.run, self.other.value), key=lambda run: bench.history.run(run).due)
            self.compared.object = bench.compare_runs(*pair).framed(dark=dark)
        except wb.WorkbenchError as error:
            self.compared.object = escape(str(error))

    def rerun(self, _event):
        """Run again, with what was changed."""
        changed = {each.name: each.value for each in self.inputs if each.value != self.before[each.name]}
        try:
            self.choice.run = bench.rerun(self.choice.run, changed).id
            self.answer.object = "" if bench.jobs.served() else WAITS
        except wb.WorkbenchError as error:
            self.answer.object = f"<span style='color:{BAD}'>{escape(str(error))}</span>"


choice = Choice()
pn.state.location.sync(choice, ["run"])
finder, reader = Finder(choice), Reader(choice)
finder.search()
reader.open()


def look():
    """See what has changed; records that do not answer for a moment are asked the next time."""
    with suppress(wb.WorkbenchError):
        finder.follow()
        reader.follow()


pn.state.add_periodic_callback(look, period=2000)
bench.page(
    "TRII Workbench · Reports",
    sidebar=["### Find", *finder.widgets, finder.count],
    main=[pn.Column(finder.message, finder.holder), reader.view],
).servable(title="Reports")
