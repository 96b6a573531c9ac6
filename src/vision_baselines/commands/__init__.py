"""The doors: one module a verb, each with a `main` that reads the command line, runs the verb and exits."""

VERBS = {
    "train": "vision_baselines.commands.train",
    "compare": "vision_baselines.commands.compare",
    "evaluate": "vision_baselines.commands.evaluate",
    "reproduce": "vision_baselines.commands.reproduce",
    "inspect": "vision_baselines.theory.inspect_command",
    "conv-arithmetic": "vision_baselines.theory.chain_command",
    "edge-demo": "vision_baselines.theory.edge_command",
    "benchmark": "vision_baselines.benchmark.command",
    "stress-resume": "vision_baselines.stress.command",
}
