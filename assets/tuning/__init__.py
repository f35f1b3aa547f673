"""The parameters that searches have found best, for the products that use them."""
