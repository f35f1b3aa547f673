"""A small language of our own in which analogies hold, so that wrong answers would be the code's doing."""

import random

from taproom.text.analogies import CAPITALS, DECK, Question, questions

ROYALTY = {
    ("man", "woman"): ["person", "adult", "wears", "boots"],
    ("king", "queen"): ["crown", "throne", "rules", "castle"],
    ("prince", "princess"): ["heir", "young", "palace", "crown"],
    ("actor", "actress"): ["stage", "film", "plays", "role"],
    ("waiter", "waitress"): ["serves", "table", "tray", "menu"],
    ("duke", "duchess"): ["estate", "noble", "manor", "coach"],
}
MALE, FEMALE = ["he", "his", "beard", "brother"], ["she", "her", "dress", "sister"]
OF_COUNTRIES, OF_CAPITALS = ["nation", "border", "army", "exports"], ["city", "mayor", "streets", "airport"]
SENTENCES = 12_000


def planted_corpus(seed):
    """Sentences in which a word stands amid words of its kind and words of its pair, so that relations are sums."""
    draw = random.Random(seed)
    kinds = [((pair[side], gender), own) for pair, own in ROYALTY.items() for side, gender in ((0, MALE), (1, FEMALE))]
    for country, capital in CAPITALS.items():
        own = [f"{country}{thing}" for thing in ("ish", "flag", "food", "song", "folk")]
        kinds += [((country, OF_COUNTRIES), own), ((capital, OF_CAPITALS), own)]
    for _ in range(SENTENCES):
        (word, of_its_kind), of_its_pair = draw.choice(kinds)
        around = draw.choices(of_its_kind, k=2) + draw.choices(of_its_pair, k=2)
        draw.shuffle(around)
        yield " ".join([*around[:2], word, *around[2:]])


def planted_questions():
    pairs = list(ROYALTY)
    royal = [Question("royalty", *one, *other) for one in pairs for other in pairs if one != other]
    return royal + [question for question in questions() if question.section == DECK]
