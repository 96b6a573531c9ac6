"""A comparison as files: page, CSV, Markdown, TensorBoard, terminal."""
