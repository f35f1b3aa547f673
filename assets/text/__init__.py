"""Text becomes topics and word vectors.

documents -> bag_of_words -> topics; documents, reference_texts -> word_vectors -> analogies.
"""
