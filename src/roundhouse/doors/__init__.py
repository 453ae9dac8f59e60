"""Where clients come in. Each door turns bytes into frames for the gateway; `translate` turns failures into answers."""
