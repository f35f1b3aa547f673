"""Words and counts: tokens, counts per item, sparse rows, TF * log(1/DF).

Here belongs what the maps and the text models both start from. Models of text do not.
"""
