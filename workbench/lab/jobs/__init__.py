"""Schedules and runs in JupyterLab: jupyter-scheduler's dialog and API over the workbench's own tables.

Only this package knows jupyter-scheduler. The server answers its requests from the records; a service beside it, the
same as ``workbench schedule serve``, carries the runs out.
"""
