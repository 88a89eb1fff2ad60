"""The two backends. Nothing else of the workbench imports nnsight or transformer_lens."""
