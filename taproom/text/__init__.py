"""Models of text: topics, the training of word vectors, analogies, and the answers that `taproom` gives from them.

Here belongs what is fitted to documents, with its measures and figures. Tokens, counts, weights and the similarity of
word vectors belong to `taproom.words`, since maps need them too.
"""
