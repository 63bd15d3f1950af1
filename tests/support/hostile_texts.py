"""Texts that would move a terminal, or run in a page, if anybody let them.

In the terminal each has the word "owned", in a page each would call `alert`.
"""

from __future__ import annotations

import re

TERMINAL = {
    "clear the screen": "\x1b[2J\x1b[Howned",
    "colour": "\x1b[31mowned\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "title by ST": "\x1b]2;owned\x1b\\",
    "link (OSC 8)": "\x1b]8;;http://evil.example/\x1b\\owned\x1b]8;;\x1b\\",
    "clipboard (OSC 52)": "\x1b]52;c;b3duZWQ=\x07owned",
    "file of iTerm2 (OSC 1337)": "\x1b]1337;File=inline=1:b3duZWQ=\x07owned",
    "notification (OSC 777)": "\x1b]777;notify;owned;owned\x07",
    "picture of kitty (APC)": "\x1b_Gf=24,s=1,v=1;AAAA\x1b\\owned",
    "sixel (DCS)": "\x1bPq#0;2;0;0;0owned\x1b\\",
    "privacy message": "\x1b^owned\x1b\\",
    "report of the cursor": "\x1b[6nowned\x1b[c",
    "end of a paste": "\x1b[201~owned\n",
    "alternative screen": "\x1b[?1049howned",
    "reset": "\x1bcowned",
    "8-bit CSI": "\x9b2Jowned",
    "8-bit OSC": "\x9d0;owned\x9c",
    "8-bit DCS": "\x90qowned\x9c",
    "next line (C1)": "owned\x85error: made up",
    "carriage return": "harmless\rowned     ",
    "backspaces": "harmless\x08\x08\x08owned",
    "bell and answerback": "\x07\x05owned",
    "other character set": "\x0eowned\x0f",
    "form feed, vertical tab": "\x0cowned\x0b",
    "NUL and DEL": "ow\x00ned\x7f owned",
    "lines": "owned\n\nerror: made up",
    "right to left": "owned\u202etxt.exe",
    "isolates": "owned\u2066\u2067\u2068\u2069",
    "marks": "owned\u200e\u200f\u061c",
    "other line breaks": "owned\u2028error: made up\u2029error: made up",
    "markup of rich": "[bold]owned[/bold] [red]owned[/] [/]",
    "link of rich": "[link=http://evil.example/]owned[/link]",
    "emoji of rich": ":skull: owned",
}

EVERY = " ".join(TERMINAL.values())
"""All of them in one text."""

FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that no terminal may be sent, beside the sequences of rich."""

OWN = re.compile(r"\r?\x1b\[(?:[0-9;]*m|\?25[lh]|2K|1A)")
"""Colours and movements that rich writes of itself. None of `TERMINAL` passes for one: those of
texts are escapes, and begin with a backslash."""

ISOLATED = re.compile("\u2068([^\u2068\u2069\n]*)\u2069")
"""What a table writes around words from right to left: it ends where it began, in one line."""

EVIL = "http://evil.example"

PAGES = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</textarea></noscript></template><script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    "`><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onmouseover='alert(1)' x='",
    " onfocus=alert(1) autofocus ",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "</svg><script>alert(1)</script>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    '<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
    '<iframe src="javascript:parent.alert(1)"></iframe>',
    '<object data="data:text/html,<script>alert(1)</script>"></object>',
    '<a href="javascript:alert(1)">link</a>',
    '[link](javascript:alert(1)) ![](x" onerror="alert(1))',
    "javascript:alert(1)",
    '<math><mtext><table><mglyph><style><!--</style><img title="--><img src=x onerror=alert(1)>">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<template><script>alert(1)</script></template><img/src=x/onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} #{alert(1)}",
    "{{ 7 * 7 }}{% raw %}<script>alert(1)</script>{% endraw %}",
    "';alert(1)//\\';alert(1)//\";alert(1)//\\\";alert(1)//",
    "\u2028alert(1)\u2029",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62;alert(1)&#60;/script&#62;",
    '<meta http-equiv=refresh content="0;url=javascript:alert(1)">',
    f"<base href={EVIL}/><link rel=stylesheet href={EVIL}/a.css>",
    f"<style>@import '{EVIL}/a.css'; * {{ background: url({EVIL}/a.png) }}</style>",
    f"<form action={EVIL}><button autofocus>x</button></form><img src={EVIL}/a.png>",
)
