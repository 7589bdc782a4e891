"""What this machine can do at all, and how near to it an engine comes.

`measure` finds the ceilings (arithmetic, memory, on a GPU the launch of a kernel), `store` keeps them for this host,
`floor` turns them and a graph's work into the least time of a call. `docs/roofline.md` says what each number means.
"""
