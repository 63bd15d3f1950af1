"""Import of prompts that were written for other tools, as tasks and templates.

No code is run: parts that need Python are listed as omissions.
"""
