"""What the mesh costs: each path through it measured beside the bare engine, in the same run.

ragmesh bench                 against the mesh that runs
ragmesh bench --json out.json
"""
