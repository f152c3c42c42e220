"""The JupyterLab distribution: one server for Lab, Voilà dashboards and Panel apps."""
