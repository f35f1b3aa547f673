"""Text models: topics, word vectors, analogies, and looking them up.

Here belongs what is learned from bags of words or running text. Counting and weighting words does not.
"""
