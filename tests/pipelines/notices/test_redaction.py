from pipelines.notices.redaction import redacted


def test_secrets_and_local_paths_are_left_out(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret/value")
    monkeypatch.setenv("TAPROOM_SMTP_PASSWORD", "correct horse battery")
    monkeypatch.setenv("TAPROOM_OPERATORS_WEBHOOK_URL", "https://hooks.example/services/T0/verysecrettoken")
    message = (
        "topsecret/value and correct horse battery do not open /home/me/inbox/beers.csv or "
        "https://hooks.example/services/T0/verysecrettoken (verysecrettoken)\nTraceback"
    )
    assert redacted(message) == "*** and *** do not open …/beers.csv or …/*** (***)"


def test_other_text_stays(monkeypatch):
    monkeypatch.setenv("TAPROOM_PAGES_URL", "https://taproom.example/catalogue")
    monkeypatch.setenv("SOME_KEY", "ale")  # too short to be a secret
    assert redacted("the catalogue has an ale of 5 %") == "the catalogue has an ale of 5 %"
