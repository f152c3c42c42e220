"""The tear sheet: a backtest on one HTML page that needs no other file and no other host."""

from workbench.backtest.tearsheet.page import report, report_html

__all__ = ["report", "report_html"]
