"""Words that try to be more than words: markup, scripts, mathematics, formulas, paths, control characters."""

from __future__ import annotations

CANARY = "PWN" + "ED"  # what a script or a formula of the corpus would write, never written whole in it

CORPUS = (
    # HTML and scripts
    "<script>document.title='PWN'+'ED'</script>", "<img src=x onerror=\"document.title='PWN'+'ED'\">",
    "<svg onload=document.title='PWN'+'ED'>", "</td></tr></table><script>document.title='PWN'+'ED'</script>",
    "\"><script>document.title='PWN'+'ED'</script>", "' onmouseover='document.title=1' x='",
    "</title><script>document.title='PWN'+'ED'</script>", "</style><script>document.title='PWN'+'ED'</script>",
    "<iframe src=file:///etc/hostname></iframe>", "<object data=file:///etc/hostname></object>",
    "<meta http-equiv=refresh content=0;url=file:///etc/hostname>", "<base href=https://example.org/>",
    "<link rel=stylesheet href=https://example.org/x.css>", "<!-- not closed", "--><b>bold", "]]><b>",
    "&lt;script&gt;", "&amp;amp;", "&#60;b&#62;", "javascript:document.title=1", "data:text/html,<b>x",
    "{{ 7 * 7 }}", "{% for x in y %}", "${7*7}", "#{7*7}", "{label}", "{0.__class__}", "%s %d %(x)s", "%n%n",
    # terminal and its markup
    "Helpline [/pilot]", "[phase 2]", "[bold red]loud[/]", "[link=https://example.org]here[/link]", ":bug: :warning:",
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "over\rwritten", "bell\x07", "back\x08space", "\x7f",
    # mathematics
    "$\\frac$", "($5 or $6 a day)", "$x^2$", "$$\\int$$", "\\(x\\)", "\\[x\\]", "\\begin{align}x", "_a_ ^b^ \\alpha",
    # formulas
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=HYPERLINK(\"https://example.org\",\"x\")", "\t=1+1", "=cmd|'/c calc'!A0",
    # paths and names of files
    "a/b", "../../outside", "/etc/passwd", "..", "C:\\x\\y", "CON", "a" * 400, "name\u2028line", ".hidden",
    # writing
    "\u202eright to left", "\u2066hidden\u2069", "e\u0301 \u00e9", "\U0001f6a8 \u65e5\u672c\u8a9e", "zero\u200bwidth",
    "\u0645\u0631\u062d\u0628\u0627", "\ufeffmark", "a, b; c\td",
    "\"quoted\" 'twice'", "two\nlines", "NA", "nan", "007",
)  # fmt: skip

#: Characters that no file, page or terminal may get from a word.
STEERING = [chr(c) for c in (*range(9), 11, 12, *range(14, 32), *range(127, 160), 0x202A, 0x202E, 0x2066, 0x2069)]
