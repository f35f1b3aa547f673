"""Claim: what pages answer to a typed text is what the functions of `taproom` answer.

    python benchmarks/check_page_answers.py WAREHOUSE [TEXTS]

writes the pages of the warehouse and asks both: the place of 200 texts on the map, the topics of 200 texts, and 300
analogies, as far as there are tables. TEXTS is a Parquet file with a column `text`, such as reviews that the map was
not made from; without it, texts are those of the tables. Peers: `taproom.place`, `taproom.topics_of`,
`taproom.analogy`.
"""

import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from playwright.sync_api import Page, sync_playwright

from taproom.maps.out_of_sample import ItemMap
from taproom.pages.site import write_pages
from taproom.pages.word_vectors_data import word_vectors_data
from taproom.text.analogies import complete
from taproom.text.text_lookup import TopicModel
from taproom.warehouse.warehouse import Warehouse
from taproom.words.vectors import vectors_from_table
from tests.browser import CHROMIUM, FLAGS, until

TEXTS, QUESTIONS, NEAREST = 200, 300, 10
TIMED = """(asked) => Taproom.{form}.ready().then((model) => asked.map((each) => {{
  const started = performance.now();
  const answer = {answer};
  return {{ ...answer, milliseconds: performance.now() - started }}; }}))"""


def main(root: str, texts: str | None = None) -> None:
    """Ask the pages and the functions, and print how much they differ."""
    warehouse = Warehouse(root)
    pages = Path(write_pages(warehouse, ()).address).parent
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        tab = browser.new_page()
        if warehouse.head("item_map") is not None:
            check_places(tab, pages, warehouse, sample(warehouse, "reviews", texts))
        if warehouse.head("topics") is not None:
            check_topics(tab, pages, warehouse, sample(warehouse, "documents", texts))
        if warehouse.head("analogies") is not None:
            check_analogies(tab, pages, warehouse)
        browser.close()


def sample(warehouse: Warehouse, table: str, path: str | None) -> list[str]:
    """A random sample of the texts of a file, or of a table."""
    texts = pq.read_table(path, columns=["text"])["text"] if path else warehouse.read(table, columns=["text"])["text"]
    chosen = np.random.default_rng(0).permutation(len(texts))[:TEXTS]
    return [texts[int(each)].as_py() for each in chosen]


def ask(tab: Page, page: Path, form: str, answer: str, asked: list[Any]) -> list[dict[str, Any]]:
    """What a form of a page answers to each thing asked, with the milliseconds that it took."""
    tab.goto(page.as_uri())
    until(tab, f"Taproom.{form} !== undefined")
    return tab.evaluate(TIMED.format(form=form, answer=answer), asked)


def check_places(tab: Page, pages: Path, warehouse: Warehouse, texts: list[str]) -> None:
    """Compare neighbours and positions."""
    shown = "(({ neighbors, positions, unknown }) => ({ neighbors, positions, unknown }))(model.place(each))"
    answers = ask(tab, pages / "map.html", "placing", shown, texts)
    ids = tab.evaluate("Taproom.data.map.item_ids")
    item_map = ItemMap(warehouse)
    same, apart, off, known = [], [], {2: [], 3: []}, []
    for text, answer in zip(texts, answers, strict=True):
        wanted = item_map.place(text)
        nearest = [ids[each["index"]] for each in answer["neighbors"]]
        same.append(nearest[:NEAREST] == [each.item_id for each in wanted.neighbors[:NEAREST]])
        distances = zip(answer["neighbors"], wanted.neighbors, strict=True)
        apart.append(max(abs(mine["distance"] - other.distance) for mine, other in distances))
        for dimension, distances_off in off.items():
            found = answer["positions"][str(dimension)][:dimension]
            distances_off.append(np.linalg.norm(found - wanted.positions[dimension]))
        known.append(answer["unknown"] == list(wanted.unknown_words))
    print(f"places of {len(texts)} texts: the same ten neighbours in {np.mean(same):.1%}, distances differ by at most "
          f"{max(apart):.2g}; the same unknown words in {np.mean(known):.1%}")  # fmt: skip
    for dimension, distances_off in off.items():
        print(f"  {dimension} dimensions: positions differ by {np.median(distances_off):.2g} (median), "
              f"{np.quantile(distances_off, 0.99):.2g} (99 %), {max(distances_off):.2g} (most)")  # fmt: skip
    print_times(answers)


def check_topics(tab: Page, pages: Path, warehouse: Warehouse, texts: list[str]) -> None:
    """Compare shares of topics."""
    model = TopicModel(warehouse)
    for weighting in warehouse.read("topics", columns=["weighting"])["weighting"].unique().to_pylist():
        answers = ask(tab, pages / "words.html", "mixture", f"model.mixture(each, '{weighting}')", texts)
        errors = []
        for text, answer in zip(texts, answers, strict=True):
            wanted = {each.topic: each.share for each in model.topics_of(text, weighting).topics}
            found = {each["topic"]: each["share"] for each in answer["shares"]}
            errors.append(max(abs(wanted.get(each, 0) - found.get(each, 0)) for each in {*wanted, *found}))
        print(f"topics of {len(texts)} texts by {weighting}: shares differ by at most {max(errors):.2g}")
        print_times(answers)


def check_analogies(tab: Page, pages: Path, warehouse: Warehouse) -> None:
    """Compare the words nearest to b - a + c, of questions whose words the page has."""
    on_page = set(word_vectors_data(warehouse)["words"])
    rows = [[row[name] for name in "abc"] for row in warehouse.read("analogies").to_pylist()]
    known = [row for row in rows if on_page.issuperset(row)]
    print(f"{len(known):,} of {len(rows):,} analogies have words that the page has")
    asked = [known[each] for each in np.random.default_rng(0).permutation(len(known))[:QUESTIONS]]
    sums = [f"{b} - {a} + {c}" for a, b, c in asked]
    nearest = f"{{ found: model.nearest(model.terms(each), {NEAREST}) }}"
    answers = ask(tab, pages / "words.html", "analogies", nearest, sums)
    vectors = vectors_from_table(warehouse.read("word_vectors"))
    first, shared, errors = [], [], []
    for question, answer in zip(asked, answers, strict=True):
        wanted = complete(vectors, *question, NEAREST)
        found = {each["word"]: each["cosine"] for each in answer["found"]}
        first.append(wanted[0][0] == answer["found"][0]["word"])
        shared.append(sum(word in found for word, _ in wanted) / NEAREST)
        errors += [abs(cosine - found[word]) for word, cosine in wanted if word in found]
    print(f"{len(asked)} analogies: the same first word in {np.mean(first):.1%}, {np.mean(shared):.1%} of the first "
          f"ten words; cosines differ by at most {max(errors):.2g}")  # fmt: skip
    print_times(answers)


def print_times(answers: list[dict[str, Any]]) -> None:
    """Print how long the page took."""
    times = [answer["milliseconds"] for answer in answers]
    print(f"  in the page: median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
