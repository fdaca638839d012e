"""What a page of pictures needs of a library, without HTTP (ADR 20).

`lanes` gives futures, `asking` reads a search from names and values, `rankings` keeps what was
found for further pages, and `thumbnails` keeps small pictures.
"""
