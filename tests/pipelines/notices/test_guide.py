"""What docs/notices.md shows is what is sent, and what it lists is what there is."""

import json
import re

import pytest

from pipelines.notices import links, settings
from pipelines.notices.consumers import CONSUMER_KINDS
from pipelines.notices.forms import FORMS
from pipelines.notices.operators import OPERATOR_KINDS
from tests.pipelines.notices.examples import NOTICES, new_version, run_failed
from tests.test_docs import snippets

GUIDE = NOTICES.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_the_examples_are_what_is_sent(form, monkeypatch):
    monkeypatch.setenv(links.PAGES_VARIABLE, "https://taproom.example/pages")
    examples = dict(zip(FORMS, map(json.loads, snippets(NOTICES, "json")), strict=True))
    assert FORMS[form](new_version() if form == "json" else run_failed()) == examples[form]


def test_all_kinds_are_listed():
    listed = re.findall(r"^\| `(\w+)` \|", GUIDE, flags=re.MULTILINE)
    assert {*CONSUMER_KINDS, *OPERATOR_KINDS} <= set(listed)


def test_the_command_that_makes_a_secret_makes_a_valid_one(capsys, monkeypatch):
    (command,) = re.findall(r'python3 -c "(.*)"', GUIDE)
    exec(command)
    monkeypatch.setenv("TAPROOM_CONSUMERS_WEBHOOK_URL", "https://consumer.example/")
    monkeypatch.setenv("TAPROOM_CONSUMERS_WEBHOOK_SECRET", capsys.readouterr().out.strip())
    assert len(settings.targets("CONSUMERS")) == 2
