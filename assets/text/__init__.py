"""Text becomes topics and word vectors: documents -> bag_of_words -> topics; documents -> word_vectors -> analogies."""
