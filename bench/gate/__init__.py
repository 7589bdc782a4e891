"""The gate: is the candidate slower than the baseline? A verdict that CI can act on, or an honest "cannot tell".

`bench.gate.run.run(...)` measures and returns a `bench.gate.receipt.Receipt`, which is `gate.json`.
"""
