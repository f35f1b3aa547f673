"""Reviews become a map: reviews -> term_counts -> items -> vocabulary, tfidf -> neighbors -> item_map."""
