"""How likely given text is, line by line, token by token or as a whole, in memory that does not grow with the text."""
