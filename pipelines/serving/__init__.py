"""How Dagster is served: `make ui` runs the code server, the daemon and the web server, each a process of its own.

    python -m pipelines.serving [--port 3000]    starts them, starts again what dies, and ends them all
    python -m pipelines.serving.web              the web server alone, behind `guard`; the other two are Dagster's own

`supervisord.conf` says what is run, `workspace.yaml` how web server and daemon reach the code server.
"""
