"""Pictures of bars, indicators and results, with HoloViews on Bokeh. They carry no numbers of their own."""
