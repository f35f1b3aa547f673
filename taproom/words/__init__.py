"""Words as data, before any model: tokens, counts per item, TF * log(1/DF), sparse rows, similarity of word vectors.

Here belongs what both `taproom.maps` and `taproom.text` start from. Models that are fitted to text (topics, word
vectors) belong to `taproom.text`.
"""
