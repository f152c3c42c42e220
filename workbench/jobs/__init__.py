"""Running notebooks: parameters in, an executed notebook and a report out."""
