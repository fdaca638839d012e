"""Text recognition in images. Only this package imports an OCR library."""
