"""Notices: what is reported to operators and consumers, and how it reaches them.

    notice                        what a notice is
    consumers, operators          which notices there are: new versions of tables; failures and other problems
    forms, webhook, mail          how a notice is written for a target, and sent once
    settings                      the targets, from environment variables
    delivery                      when a notice counts as delivered, and what happens while a target is down
    heartbeat                     a signal that the daemon runs, for a watcher on another machine
    sensors                       the two sensors that put these together

What is wrong is found out elsewhere (`pipelines.failures`, `pipelines.disk_space`, Dagster's records); the feeds beside
the pages are `taproom.pages.feed`.
"""
