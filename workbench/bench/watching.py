"""The watching side of a workbench: what was reported and still holds, and rules that say when to look."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.bench.research import Research, Symbols
from workbench.core.errors import InputError, WorkbenchError
from workbench.core.known import limit
from workbench.core.market import Adjustment

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    import sqlalchemy as sa
    import xarray as xr

    from workbench.alerts.book import RuleBook
    from workbench.alerts.evaluate import NamedRule, Verdict
    from workbench.alerts.evaluation import Evaluation
    from workbench.alerts.firings import Alerts
    from workbench.alerts.policy import Policy
    from workbench.alerts.rules import AlertRule
    from workbench.alerts.runs import RunFact
    from workbench.backtest.parity import Parity
    from workbench.backtest.strategy import Strategy
    from workbench.backtest.told import Told, ToldSignals
    from workbench.core.calendar import Moment


class Watching(Research):
    """What goes on after the research: reported signals and their parity, alert rules, alerts."""

    @cached_property
    def told_signals(self) -> ToldSignals:
        """The signals that were reported."""
        from workbench.backtest.told import ToldSignals

        return ToldSignals(self.records, self.clock)

    @cached_property
    def alerts(self) -> Alerts:
        """The alerts that were raised."""
        from workbench.alerts.firings import Alerts

        return Alerts(self.records, self.clock)

    @cached_property
    def alert_rules(self) -> RuleBook:
        """The alert rules: ``add``, ``list``, ``get``, ``snooze``, ``remove``, ``draft``, ``kinds``."""
        from workbench.alerts.book import RuleBook

        return RuleBook(self.records, self.clock, self.settings.dataset, self._check_rule, self._check_policy)

    def record_signals(
        self,
        symbols: Symbols | xr.Dataset = None,
        strategies: Sequence[str | Strategy] | Mapping[str, Mapping[str, Any]] | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
    ) -> pd.DataFrame:
        """Return what strategies say at each symbol's last bar, as ``signals``, and keep it for ``parity``.

        Parameters
        ----------
        symbols : sequence of str, str or xarray.Dataset, optional
            Symbols of the dataset, all of it where ``None``; or Bars that were read from the store.
        strategies : sequence or mapping, optional
            With their defaults, or a mapping of names to parameters; by default all that these bars are enough for.
        start, end, dataset, adjust, as_of
            Which bars.

        Returns
        -------
        pandas.DataFrame
            Columns ``symbol strategy state strength since reason time``.
        """
        from workbench.analytics.signals import latest_table
        from workbench.backtest.strategy import find_strategy, fitting
        from workbench.backtest.told import tell

        bars = self._bars(symbols, {"start": start, "end": end, "dataset": dataset, "adjust": adjust, "as_of": as_of})
        chosen = fitting(bars) if strategies is None else [find_strategy(each) for each in strategies]
        given: dict[str, Any] = {each.name: {} for each in chosen}
        given |= strategies if isinstance(strategies, Mapping) else {}
        signals = {each.name: each.signals(bars, **given[each.name]) for each in chosen}
        same: dict[str, Any] = {"told": self.clock(), "run": self._run_id()}
        told = [tell(bars, each, given[each.name], signals[each.name], **same) for each in chosen]
        self.told_signals.record([each for group in told for each in group])
        return latest_table(signals)

    def parity(
        self,
        *,
        since: Moment | None = None,
        before: Moment | None = None,
        strategies: Sequence[Strategy] = (),
        record: bool = True,
    ) -> Parity:
        """Compare the signals that were reported with what the backtest says of those days now.

        Parameters
        ----------
        since, before : date-like, optional
            Of bars from ``since`` on, and before ``before``.
        strategies : sequence of Strategy
            Those that are not installed.
        record : bool
            Note what differs, and raise an alert for what is found to differ for the first time: one for each strategy
            and cause.
        """
        from workbench.backtest.parity import compare
        from workbench.backtest.strategy import find_strategy
        from workbench.core.calendar import instant

        own = {each.name: each for each in strategies}
        ends = [None if each is None else instant(each).to_pydatetime() for each in (since, before)]
        told = self.told_signals.list(since=ends[0], before=ends[1], known=limit())
        found = compare(told, self._read_again, lambda name: own.get(name) or find_strategy(name))
        if record:
            new = {each.told.id: each.cause for each in found.differing if each.told.disagreed is None}
            self.told_signals.disagree(new, self._tell_difference)
        return found

    def evaluate_rules(
        self,
        rules: Sequence[NamedRule] | None = None,
        *,
        at: Moment | None = None,
        as_of: Moment | None = None,
        lookback: int = 1,
        record: bool = True,
        runs: Sequence[RunFact] | None = None,
    ) -> Evaluation:
        """Say what alert rules say at a moment.

        Parameters
        ----------
        rules : sequence of NamedRule, optional
            Such as ``alert_rules.draft`` gives; those that are kept where ``None``.
        at : date-like, optional
            Bars up to then, a day to its end; now where ``None``.
        as_of : date-like, optional
            What was known then.
        lookback : int
            At how many of a symbol's last bars a rule may have fired: one that looks at a cross less often than at each
            bar would miss it.
        record : bool
            Raise an alert for each rule that is kept and fired: one each time that it begins to hold, and with a
            ``release`` in its policy only once it was that far away again. Of a bar before the last one only if the
            rule was there by then.
        runs : sequence of RunFact, optional
            What rules on runs look at; ``run_facts()`` where ``None``.
        """
        from workbench.alerts.evaluation import Evaluation
        from workbench.alerts.raising import raise_fired
        from workbench.core.calendar import instant

        chosen = self.alert_rules.list() if rules is None else list(rules)
        moment = instant(limit() or self.clock()) if at is None else instant(at, end_of_day=True)
        end = moment.tz_localize(None)
        found = self._judged(chosen, moment, as_of, lookback, runs)
        usual = self.settings.alert_channels
        raised = raise_fired(self.records, found, self.clock, usual) if record else frozenset[str]()
        return Evaluation(end, tuple(found), raised)

    def _judged(
        self,
        rules: Sequence[NamedRule],
        moment: pd.Timestamp,
        as_of: Moment | None,
        lookback: int,
        runs: Sequence[RunFact] | None,
    ) -> list[Verdict]:
        """Return what rules say at a moment: bars are read once for each dataset and adjustment, runs once for all."""
        from workbench.alerts.evaluate import Verdict, check_lookback, judge
        from workbench.alerts.runs import RunRule, judge_runs

        check_lookback(lookback)
        bars, faults = self._watched_by(rules, moment, as_of)
        end, found = moment.tz_localize(None), list[Verdict]()
        for each in rules:
            dataset = each.rule.dataset
            wrong = [faults[dataset, adjust] for adjust in each.rule.adjusts if (dataset, adjust) in faults]
            if isinstance(each.rule, RunRule):
                runs = self.run_facts() if runs is None else runs
                found += judge_runs(each, runs, end, lookback)
            elif wrong or not each.rule.adjusts:
                fault = wrong[0] if wrong else f"nothing here looks at what a rule of kind {each.kind!r} does"
                found += [Verdict(each, name, "unknown", fault) for name in each.rule.symbols]
            else:
                by = {adjust: bars[dataset, adjust] for adjust in each.rule.adjusts}
                found += judge(each, by, end, lookback)
        return found

    def _watched_by(
        self, rules: Sequence[NamedRule], moment: pd.Timestamp, as_of: Moment | None
    ) -> tuple[dict[tuple[str, Adjustment], xr.Dataset], dict[tuple[str, Adjustment], str]]:
        """Return the bars that rules look at by dataset and adjustment, and why there are none where there are none."""
        from workbench.alerts.evaluate import groups_of

        bars: dict[tuple[str, Adjustment], xr.Dataset] = {}
        faults: dict[tuple[str, Adjustment], str] = {}
        for (dataset, adjust), group in groups_of(rules).items():
            symbols = sorted({symbol for each in group for symbol in each.rule.symbols})
            try:
                bars[dataset, adjust] = self._watched(dataset, symbols, adjust, moment, as_of)
            except WorkbenchError as error:
                faults[dataset, adjust] = str(error)
        return bars, faults

    def run_facts(self) -> list[RunFact]:
        """Return what is known of runs, for rules on them: nothing by itself."""
        return []

    def _watched(
        self, dataset: str, symbols: Sequence[str], adjust: Adjustment, end: Moment, as_of: Moment | None
    ) -> xr.Dataset:
        """Return the bars that rules look at: of the symbols that are there, up to ``end``."""
        from workbench.core.frames import between

        known = set(self.symbols(dataset))
        # A source may have taken out more than the rule asks for.
        least: Adjustment = "all" if self.market.ensure(dataset).adjustment == "all" else adjust
        there = [symbol for symbol in symbols if symbol in known]
        if not there:
            raise InputError(f"dataset {dataset!r} has no bars of {', '.join(symbols)}; fetch them or remove the rule")
        whole = self.market.bars(there, None, None, dataset=dataset, adjust=least, as_of=as_of)
        bars = between(whole, None, end)
        self._used(bars, "run")
        return bars

    def _check_rule(self, rule: AlertRule) -> None:
        """Raise where a rule cannot work on the data as they are: it looks at them once."""
        from workbench.core.errors import UnknownNameError

        if not rule.on_bars:
            return
        known = self.symbols(rule.dataset)
        for symbol in rule.symbols:
            if symbol not in known:
                raise UnknownNameError("symbol", symbol, known, where=f"dataset {rule.dataset!r}")
        by = {each: self._watched(rule.dataset, rule.symbols, each, self.clock(), None) for each in rule.adjusts}
        own = {adjust: bars.sel(symbol=list(rule.symbols)) for adjust, bars in by.items()}
        rule.read(own, max(bars.indexes["time"][-1] for bars in own.values()))

    def _check_policy(self, policy: Policy) -> None:
        """Raise where messages could not be sent: over no channel, one that is not set, or one that may not be used."""
        from workbench.alerts.channels import require_channels

        usual = self.settings.alert_channels
        require_channels(self.settings, [*(usual if policy.channels is None else policy.channels), *policy.escalate_to])

    def _read_again(self, told: Told, end: datetime | None, as_of: datetime | None) -> xr.Dataset:
        wanted: dict[str, Any] = {"dataset": told.dataset, "adjust": told.adjustment, "as_of": as_of}
        return self.market.bars(list(told.symbols), told.first, end, **wanted)

    def _tell_difference(self, connection: sa.Connection, differing: Sequence[Told]) -> None:
        from workbench.alerts.differences import raise_differences

        raise_differences(connection, differing, self.clock(), self.settings.alert_channels)

    def _run_id(self) -> str | None:
        """Return the run that this process is part of: its id stays the same when it is tried again."""
        return os.environ.get("WORKBENCH_RUN_ID") or Path(self.settings.run).stem or None
