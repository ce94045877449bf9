"""The page that asks for the token."""

from __future__ import annotations

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>fd2talk studio: token</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center }}
form {{ width: min(22rem, calc(100vw - 3rem)) }}
h1 {{ font-size: 1.3rem; margin: 0 0 1rem }}
label {{ display: block; margin-bottom: .3rem }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .6rem .7rem; border-radius: .4rem }}
input {{ border: 1px solid #888 }}
button {{ margin-top: .8rem; border: 0; background: #4338ca; color: #fff; font-weight: 600 }}
[role=alert] {{ color: #b91c1c; margin: .6rem 0 0 }}
@media (prefers-color-scheme: dark) {{ [role=alert] {{ color: #fca5a5 }} }}
</style>
</head>
<body><main><form method="post" action="/login">
<h1>fd2talk studio</h1>
<label for="token">Token (it was chosen when this studio was started)</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Open</button>
{alert}</form></main></body>
</html>
"""


def login_page(*, wrong: bool) -> str:
    """HTML of the page.

    Args:
        wrong: whether a token was given that is not the right one.
    """
    return _PAGE.format(alert='<p role="alert">This is not the token.</p>\n' if wrong else "")
