"""How Dagster is served: a code server, a daemon and a web server, each in its own process.

    python -m pipelines.serving [--port 3000]    `make ui`: starts all three, restarts those that die, and ends them
                                                 together
    python -m pipelines.serving --stack          `make stack`: the same with PostgreSQL and an S3 server
    python -m pipelines.serving.web              the web server, behind `guard`; the other two are Dagster's own
    python -m pipelines.serving.postgres         PostgreSQL of the stack
    python -m pipelines.serving.object_store     the S3 server of the stack
    python -m pipelines.serving.prepare          runs a command as soon as both answer: the code server of a deployment
    python -m pipelines.serving.wait             runs a command as soon as the code server answers

`supervisord.conf` has the commands of the three processes, `stack.conf` those of the two servers, and `workspace.yaml`
the address of the code server. `stack` has the state of `make stack`: passwords, keys, ports.
"""
