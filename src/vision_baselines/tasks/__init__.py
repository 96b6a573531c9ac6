"""What is learned: the loss, the metrics and which of them decides, what a prediction is, what a report shows of it."""
