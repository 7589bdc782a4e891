"""What the report page shows, section by section: Vega-Lite specifications and tables as plain data.

`bench.page.report` puts them into the templates. Each module is one section; none of them knows HTML.
"""
