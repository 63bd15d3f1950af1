"""What `promptkit render` shows of a prompt: its text, its tokens, its origins.

`view` makes a plain value of a prompt; `terminal`, `page` and `plain` show it.
"""
