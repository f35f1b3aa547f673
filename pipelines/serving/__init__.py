"""How Dagster is served: `make ui` runs the code server, the daemon and the web server, each in its own process.

    python -m pipelines.serving [--port 3000]    starts all three, restarts those that die, and ends them together
    python -m pipelines.serving.web              the web server alone, behind `guard`; the other two are Dagster's own

`supervisord.conf` has the commands of the three processes, `workspace.yaml` the address of the code server.
"""
