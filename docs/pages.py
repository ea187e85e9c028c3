"""Pages that teach, from Markdown: code in them is run, and what it prints stands under it.

A block that begins with ```python is run, in the order of its page, in one folder of its own; others are shown.
The reference is made from the docstrings of every public name, the gallery from the figures of a small study.
"""

from __future__ import annotations

import contextlib
import html
import inspect
import io
import os
import re
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType

import mistune
from mistune.toc import add_toc_hook, render_toc_ul
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from evalkit.reporting.blocks import slug

PAGES = Path(__file__).with_name("pages")
ORDER = ("index", "lesson_1_one_place", "lesson_2_three_components", "lesson_3_people", "which_design", "how_to",
         "gallery", "reference", "glossary", "methods", "from_did", "from_matchit", "from_econml", "from_statsmodels",
         "from_causalpy", "decisions")  # fmt: skip
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINKED = re.compile(r'href="(\w+)\.md(#[\w-]+)?"')
MANY = 8
"""A page with more headings than that begins with a list of them."""
_STEP = 62
_TIP = (
    '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">'
    '<path d="M0 0 8 4 0 8z"/></marker></defs>'
)
DRAWN = re.compile(r"^<!-- as a picture -->\n\n((?:^\|.*\n)+)", re.MULTILINE)
"""A table that is shown as a picture too."""
DRAWINGS = (
    '"timeline", study', '"logic_model", study', '"separability", ek.separability(study)', '"over_time", evaluation',
    '"forest", evaluation', '"event_study", evaluation', '"leave_one_out", evaluation',
    '"compared", evaluation.compared.query("component == \'helpline\'")', '"waterfall", evaluation.attribution',
    '"estimates", ek.stack([f.headline.answer for f in evaluation.findings if f.headline is not None])',
)  # fmt: skip
"""What the gallery draws: a figure and what it is given."""
STYLE = """
:root { --ink: #1a1a1a; --paper: #fff; --link: #00527f; --shade: #f4f4f2 }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --paper: #16181a; --link: #8fc9f2; --shade: #22262a } }
body { font: 1.05rem/1.55 system-ui, sans-serif; margin: 0; color: var(--ink); background: var(--paper);
  overflow-wrap: break-word }
a { color: var(--link) }
a:focus-visible, pre:focus-visible, .scroll:focus-visible, input:focus-visible { outline: 3px solid var(--link);
  outline-offset: 2px }
.skip { position: absolute; left: -99rem } .skip:focus { left: 1rem }
.all { display: grid; grid-template-columns: minmax(12rem, 16rem) minmax(0, 46rem); gap: 2rem; padding: 1rem 1.5rem }
nav ol { padding-left: 1.2rem } nav a[aria-current] { font-weight: bold }
pre { background: var(--shade); padding: .7rem; overflow: auto; font-size: .86rem; line-height: 1.4 }
pre { white-space: pre-wrap }
code { font-size: .92em } .k, .kn, .kc, .ow { font-weight: bold } .s1, .s2, .sa { color: var(--link) }
.c1 { font-style: italic } .names { columns: 12rem; padding-left: 1.2rem }
.out { white-space: pre; border-left: 4px solid var(--link); margin-top: -.6rem }
table { border-collapse: collapse } .scroll { overflow: auto } th, td { padding: .3rem .7rem; text-align: left;
  border-bottom: 1px solid } img { max-width: 100% } details { margin: 1rem 0 } summary { cursor: pointer }
.way { min-width: 34rem; width: 100%; font-size: 14px; stroke: none; fill: currentColor }
.way rect { fill: var(--shade); stroke: currentColor } .way > path { fill: none; stroke: currentColor }
input { font: inherit; padding: .3rem; width: 100%; box-sizing: border-box; color: inherit; background: var(--paper);
  border: 1px solid }
@media (max-width: 50rem) { .all { grid-template-columns: minmax(0, 1fr) } }
"""
PAGE = """<!doctype html>
<html lang="en-GB"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title} · evalkit</title><style>{style}</style></head>
<body><a class="skip" href="#main">To the text</a><div class="all"><nav aria-label="Pages">{nav}</nav>
<main id="main">{body}</main></div></body></html>
"""
SEARCH = """<p><label for="search">Search names and words</label><input id="search" type="search"></p>
<p role="status" id="found"></p><script>
document.getElementById("search").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\\s+/); let n = 0;
  for (const part of document.querySelectorAll("section.name")) {
    const hit = words.every((w) => part.textContent.toLowerCase().includes(w));
    part.hidden = !hit; n += hit;
  }
  document.getElementById("found").textContent = n + " found";
});</script>"""


@dataclass(frozen=True)
class Page:
    """name: of its file; title: its heading; body: HTML."""

    name: str
    title: str
    body: str


def blocks(name: str) -> list[str]:
    """The blocks of Python of a page, in order."""
    return BLOCK.findall((PAGES / f"{name}.md").read_text(encoding="utf-8"))


def run_blocks(name: str) -> list[str]:
    """Run the blocks of a page one after the other in an empty folder; what each printed."""
    space: dict[str, object] = {"__name__": "__main__"}
    printed, here = [], Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for i, source in enumerate(blocks(name)):
                said = io.StringIO()
                with contextlib.redirect_stdout(said):
                    exec(compile(source, f"{name}.md, block {i + 1}", "exec"), space)
                printed.append(said.getvalue())
        finally:
            os.chdir(here)
    return printed


def rendered(name: str) -> Page:
    """A page of Markdown with its code and what it printed."""
    text, printed = (PAGES / f"{name}.md").read_text(encoding="utf-8"), iter(run_blocks(name))

    def shown(found: re.Match[str]) -> str:
        code = highlight(found[1], get_lexer_by_name("python"), HtmlFormatter(nowrap=True, noclasses=False))
        out = next(printed)
        said = f'<pre class="out" tabindex="0">{html.escape(out.rstrip())}</pre>' if out.strip() else ""
        return f'<pre tabindex="0"><code>{code}</code></pre>{said}'.replace("\n", "&#10;")

    title = text.partition("\n")[0].removeprefix("# ").strip()
    text = DRAWN.sub(lambda found: f"{decision_picture(found[1])}\n\n{found[1]}", text)
    return Page(name, title, to_html(name, BLOCK.sub(shown, text)))


def to_html(name: str, text: str) -> str:
    """The Markdown of a page as HTML, with its links to other pages and, if it is long, a list of its headings."""
    markdown = mistune.create_markdown(escape=False, plugins=["table"])
    add_toc_hook(markdown, 2, 2, lambda heading, _: slug(heading["text"]))
    body, state = markdown.parse(text)
    listed = state.env["toc_items"]
    if len(listed) > MANY:
        on_page = f'<nav aria-label="On this page">{render_toc_ul(listed)}</nav>'
        body = str(body).replace("</h1>", f"</h1>{on_page}", 1)
    return reachable(LINKED.sub(partial(_linked, name), str(body)))


def _linked(name: str, found: re.Match[str]) -> str:
    """A link to another page's Markdown as a link from this page to that page."""
    return f'href="{_up(name)}{_folder(found[1])}index.html{found[2] or ""}"'


def decision_picture(table: str) -> str:
    """The rows of a table of Markdown (question, design, ...) as a picture: a design beside each yes, no leads on."""
    lines = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    rows = [[re.sub(r"`(?:ek\.)?([^`]*)`", r"\1", cell.strip()) for cell in line[:2]] for line in lines]
    parts = []
    for i, (question, design) in enumerate(rows):
        y = 10 + _STEP * i
        parts += [_box(10, y, 300, textwrap.wrap(question, 38)), _box(400, y, 290, textwrap.wrap(design, 36))]
        parts += [_arrow(f"M312 {y + 22} H394", 340, y + 17, "yes")]
        if i + 1 < len(rows):
            parts.append(_arrow(f"M160 {y + 46} V{y + _STEP - 4}", 168, y + 59, "no"))
    said = html.escape("; else, ".join(f"{question}: {design}" for question, design in rows))
    picture = f'<svg class="way" role="img" aria-label="{said}" viewBox="0 0 700 {_STEP * len(rows)}">{_TIP}'
    where = '<div class="scroll" role="region" tabindex="0" aria-label="Decision picture">'
    return f"{where}{picture}{''.join(parts)}</svg></div>"


def _arrow(path: str, x: int, y: int, words: str) -> str:
    return f'<path d="{path}" marker-end="url(#tip)"/><text x="{x}" y="{y}">{words}</text>'


def _box(x: int, y: int, wide: int, lines: list[str]) -> str:
    """A box with one line of words or two in it."""
    first = y + (27 if len(lines) == 1 else 19)
    words = "".join(f'<text x="{x + 10}" y="{first + 17 * i}">{html.escape(w)}</text>' for i, w in enumerate(lines))
    return f'<rect x="{x}" y="{y}" width="{wide}" height="44" rx="4"/>{words}'


def reachable(body: str) -> str:
    """HTML whose code and tables the keyboard can scroll."""
    number = count(1)
    head = '<div class="scroll" role="region" tabindex="0" aria-label="Table {}"><table>'
    body = re.sub("<table>", lambda _: head.format(next(number)), body).replace("</table>", "</table></div>")
    return body.replace("<pre><code", '<pre tabindex="0"><code')


def reference() -> Page:
    """Every public name with its signature and docstring, and those of ek.plot, ek.checks and ek.progress."""
    import evalkit as ek

    parts = [_section(f"ek.{name}", getattr(ek, name)) for name in ek.__all__ if name != "__version__"]
    for name in ("plot", "checks", "synthetic", "progress"):
        module = getattr(ek, name)
        for inner in getattr(module, "__all__", [n for n, v in vars(module).items() if _own(v, module)]):
            parts.append(_section(f"ek.{name}.{inner}", getattr(module, inner)))
    heading = "<h1>Reference</h1><p>Every public name, from its docstring.</p>"
    names = re.findall(r'<section class="name" id="([^"]*)"', "".join(parts))
    links = "".join(f'<li><a href="#{name}">{name}</a></li>' for name in names)
    every = f'<details><summary>All names</summary><ul class="names">{links}</ul></details>'
    return Page("reference", "Reference", heading + SEARCH + every + "".join(parts))


def _own(value: object, module: ModuleType) -> bool:
    named = inspect.isfunction(value) or inspect.isclass(value)
    return named and str(value.__module__).startswith(module.__name__) and not value.__name__.startswith("_")


def _section(name: str, value: object) -> str:
    try:
        signature = "" if inspect.ismodule(value) else _said(inspect.signature(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        signature = ""
    doc = _listed(value, signature)
    methods = "".join(_method(n, m) for n, m in _methods(value))
    call = f'<pre tabindex="0"><code>{html.escape(name + signature)}</code></pre>' if signature else ""
    return f'<section class="name" id="{name}"><h2>{html.escape(name)}</h2>{call}{doc}{methods}</section>'


def _said(signature: inspect.Signature) -> str:
    """A signature without quotes about its types, and without self."""
    kept = [p for p in signature.parameters.values() if p.name != "self"]
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature.replace(parameters=kept)))


def _methods(value: object) -> Iterator[tuple[str, object]]:
    for name, held in inspect.getmembers(value) if inspect.isclass(value) else ():
        if (
            not name.startswith("_")
            and (inspect.isfunction(held) or isinstance(held, property))
            and inspect.getdoc(held)
        ):
            yield name, held


def _method(name: str, held: object) -> str:
    signature = _said(inspect.signature(held)) if inspect.isfunction(held) else ""
    return f"<h3>.{name}{html.escape(signature)}</h3>{_listed(held, signature)}"


def _listed(value: object, signature: str) -> str:
    """A docstring's paragraphs: what is indented as code, and each choice that it explains on a line of its own."""
    doc = html.escape(inspect.getdoc(value) or "", quote=False)
    parts = [part.strip("\n") for part in doc.split("\n\n") if part.strip()]
    one = "|".join(re.findall(r"(\w+): ", signature)) or "(?!)"
    explained = re.compile(rf"(?:^|(?<=[.;] )|(?<=\.\) ))((?:{one})(?:(?:, | and )(?:{one}))*):(?=\s)", re.MULTILINE)
    code = [all(line.startswith("    ") for line in part.splitlines()) for part in parts]
    words = [re.sub(r"`([^`]+)`", r"<code>\1</code>", part.strip()) for part in parts]
    words = [explained.sub(r"<br><strong>\1</strong>:", part).removeprefix("<br>") for part in words]
    return "".join(
        f'<pre tabindex="0"><code>{textwrap.dedent(part)}</code></pre>' if shown else f"<p>{said}</p>"
        for part, shown, said in zip(parts, code, words, strict=True)
    )


def gallery() -> Page:
    """Figures of the small study of `evalkit new`, each with the call that draws it; and where others are drawn."""
    import evalkit as ek
    from evalkit.cli.starters import write_starter

    with tempfile.TemporaryDirectory() as folder:
        study = ek.Study.load(write_starter(Path(folder)))
        evaluation = ek.evaluate(study)
        space = {"ek": ek, "study": study, "evaluation": evaluation}
        figures = {call: eval(f"ek.plot.describe({call})", space) for call in DRAWINGS}
    parts = []
    for call, figure in figures.items():
        code = html.escape(re.sub(r'^"(\w+)", ', r"ek.plot.\1(", call) + ")")
        parts.append(f"<h2>{figure.name}</h2>{figure.to_html()}<pre tabindex='0'><code>{code}</code></pre>")
    elsewhere = "".join(f"<li><code>ek.plot.{name}</code>: {where}</li>" for name, where in _drawn_elsewhere().items())
    words = (
        "<h1>Gallery</h1><p>Figures of the study that <code>evalkit new my-study</code> writes, after "
        '<code>study = ek.Study.load("my-study/study.toml")</code> and <code>evaluation = ek.evaluate(study)</code>. '
        "Each takes <code>ax=</code>; <code>ek.plot.describe</code> gives it with title, words and data.</p>"
    )
    return Page("gallery", "Gallery", f"{words}{''.join(parts)}<h2>Drawn in notebooks</h2><ul>{elsewhere}</ul>")


def _drawn_elsewhere() -> dict[str, str]:
    """Name of each figure that notebooks draw and the gallery does not, with a link to the first one that does."""
    found: dict[str, str] = {}
    for path in sorted((PAGES.parents[1] / "notebooks").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        title = html.escape(text.partition("# # ")[2].partition("\n")[0])
        link = f'<a href="../notebooks/{path.stem}/index.html">{title}</a>'
        for name in re.findall(r'plot\.describe\(\s*"(\w+)"', text):
            if not any(call.startswith(f'"{name}"') for call in DRAWINGS):
                found.setdefault(name, link)
    return dict(sorted(found.items()))


def decisions(folder: Path) -> Page:
    """The recorded decisions, one after the other."""
    markdown = mistune.create_markdown(escape=True, plugins=["table"])
    texts = [p.read_text(encoding="utf-8") for p in sorted(folder.glob("2*.md"))]
    bodies = [str(markdown(re.sub(r"^# ", "## ", re.sub(r"\]\([^)]*\)", "]", t), flags=re.M))) for t in texts]
    return Page("decisions", "Decisions", "<h1>Decisions</h1>" + reachable("".join(bodies)))


def made(name: str) -> Page:
    """The page of this name."""
    own = {"reference": reference, "gallery": gallery, "decisions": partial(decisions, PAGES.parent / "decisions")}
    return own[name]() if name in own else rendered(name)


def write_pages(site: Path, pages: Sequence[Page]) -> list[str]:
    """Write the pages into `site`, each with links to all and to the next; returns their names."""
    for i, page in enumerate(pages):
        to = [f'href="{_up(page.name)}{_folder(p.name)}index.html"' for p in pages]
        links = "".join(
            f"<li><a {link}{_current(p is page)}>{html.escape(p.title)}</a></li>"
            for p, link in zip(pages, to, strict=True)
        )
        after = pages[i + 1 : i + 2]
        body = page.body + "".join(f"<p>Next: <a {to[i + 1]}>{html.escape(p.title)}</a></p>" for p in after)
        text = PAGE.format(title=html.escape(page.title), style=STYLE, nav=f"<ol>{links}</ol>", body=body)
        place = site / _folder(page.name)
        place.mkdir(parents=True, exist_ok=True)
        (place / "index.html").write_text(text, encoding="utf-8")
    return [page.name for page in pages]


def _folder(name: str) -> str:
    return "" if name == "index" else f"{name}/"


def _up(name: str) -> str:
    return "" if name == "index" else "../"


def _current(here: bool) -> str:
    return ' aria-current="page"' if here else ""
