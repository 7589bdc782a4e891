"""The bench: what an engine costs and what it keeps, measured so that the numbers can be trusted.

`bench.run.run(cases)` measures and returns a `bench.results.Results`; `bench.table` and `bench.report` show it.
"""
