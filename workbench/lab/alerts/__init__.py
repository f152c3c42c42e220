"""Alerts inside JupyterLab: messages of the channel ``lab`` as Jupyter events, and what a person does about them."""
