"""Reading what is written in pictures. The only room that knows an OCR library."""
