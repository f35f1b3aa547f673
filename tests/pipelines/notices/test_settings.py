import pytest

from pipelines.notices.settings import heartbeat_address, targets, warnings_count
from taproom.errors import InputError
from tests.pipelines.notices.conftest import SECRET

OPERATORS, CONSUMERS = "TAPROOM_OPERATORS_", "TAPROOM_CONSUMERS_"


def test_without_variables_there_is_only_the_log():
    assert [target.id for target in targets("OPERATORS")] == ["log"]
    assert heartbeat_address() is None
    assert not warnings_count()


def test_each_audience_has_targets_of_its_own_that_are_named_without_secrets(monkeypatch):
    monkeypatch.setenv(f"{OPERATORS}WEBHOOK_URL", "https://hooks.example/token-1 https://hooks.example/token-2")
    monkeypatch.setenv(f"{OPERATORS}WEBHOOK_FORM", "slack")
    monkeypatch.setenv(f"{OPERATORS}MAIL_TO", "ann@example.org, bob@example.org")
    monkeypatch.setenv("TAPROOM_SMTP_HOST", "smtp.example.org")
    monkeypatch.setenv("TAPROOM_SMTP_FROM", "taproom@example.org")
    monkeypatch.setenv(f"{CONSUMERS}WEBHOOK_URL", "https://consumer.example/taproom")
    monkeypatch.setenv(f"{CONSUMERS}WEBHOOK_SECRET", SECRET)
    operators = targets("OPERATORS")
    hooks = ["the webhook at https://hooks.example"] * 2
    assert [target.name for target in operators] == ["log", *hooks, "the mail server smtp.example.org"]
    assert len({target.id for target in operators}) == 4
    assert not [target for target in operators if "token" in target.id + target.name]
    assert [target.name for target in targets("CONSUMERS")] == ["log", "the webhook at https://consumer.example"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WEBHOOK_URL": "https://host/"}, "TAPROOM_OPERATORS_WEBHOOK_URL, _FORM or _SECRET: .*whsec_"),
        ({"WEBHOOK_URL": "gopher://host/", "WEBHOOK_FORM": "slack"}, "TAPROOM_OPERATORS_WEBHOOK_URL"),
        ({"MAIL_TO": "ann@example.org"}, "needs TAPROOM_SMTP_HOST and TAPROOM_SMTP_FROM"),
    ],
)
def test_what_is_missing_or_wrong_is_named_by_its_variable(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(f"{OPERATORS}{name}", value)
    with pytest.raises(InputError, match=message):
        targets("OPERATORS")


def test_a_port_must_be_a_number(monkeypatch):
    monkeypatch.setenv(f"{OPERATORS}MAIL_TO", "ann@example.org")
    for name, value in {"HOST": "smtp.example.org", "FROM": "taproom@example.org", "PORT": "smtp"}.items():
        monkeypatch.setenv(f"TAPROOM_SMTP_{name}", value)
    with pytest.raises(InputError, match="TAPROOM_SMTP_PORT must be a number"):
        targets("OPERATORS")


def test_warnings_count_if_it_says_so(monkeypatch):
    monkeypatch.setenv("TAPROOM_NOTICE_WARNINGS", "yes")
    assert warnings_count()
