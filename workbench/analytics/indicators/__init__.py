"""Technical indicators on Bars, for all symbols at once.

Every function of TA-Lib by its name (``names``, ``describe``, ``compute``, ``compute_many``), and the common ones, with
what TA-Lib lacks, as functions with the field's usual arguments.

Each symbol is computed on its own bars, so that a symbol that starts late or misses a session is not disturbed by the
others. A value is NaN until the indicator has seen enough bars, and where the symbol has no bar. Every value uses bars
up to and including its own.
"""

from workbench.analytics.indicators.candles import heikin_ashi
from workbench.analytics.indicators.channels import donchian, keltner
from workbench.analytics.indicators.computing import compute, compute_many
from workbench.analytics.indicators.listing import indicator, table
from workbench.analytics.indicators.named import atr, bollinger, ema, macd, rsi, sma, stddev
from workbench.analytics.indicators.reference import Indicator, Parameter, describe, groups, names
from workbench.analytics.indicators.trend import ichimoku, supertrend
from workbench.analytics.indicators.volatility import ESTIMATORS, realised_volatility
from workbench.analytics.indicators.volume import vwap

__all__ = [
    "ESTIMATORS",
    "Indicator",
    "Parameter",
    "atr",
    "bollinger",
    "compute",
    "compute_many",
    "describe",
    "donchian",
    "ema",
    "groups",
    "heikin_ashi",
    "ichimoku",
    "indicator",
    "keltner",
    "macd",
    "names",
    "realised_volatility",
    "rsi",
    "sma",
    "stddev",
    "supertrend",
    "table",
    "vwap",
]
