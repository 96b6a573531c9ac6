"""What builds the documentation site beside Sphinx: pages made from conf/ and from the commands, and links."""
