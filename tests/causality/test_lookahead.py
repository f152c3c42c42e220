"""Every installed strategy under the look-ahead check."""

import pytest

from workbench.backtest.strategy import GROUP, find_strategy
from workbench.backtest.validation.lookahead import check_lookahead
from workbench.core.plugins import available


@pytest.fixture(scope="module")
def panel(bench):
    """Adjusted bars, one symbol of which starts late."""
    return bench.bars(["AAPL", "FB", "IBM"], start="2009")


@pytest.mark.parametrize("name", sorted(available(GROUP)))
def test_an_installed_strategy_does_not_look_ahead(panel, name):
    wanted = find_strategy(name)
    check = check_lookahead(wanted, panel, cuts=12)
    assert check.passed, check
    assert check.compared >= check.cuts
