"""Drawing shared by the tools."""
