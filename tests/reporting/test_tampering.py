"""A report that somebody changed: noticed, refused, never run; and numbers that differ in their last digits alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from evalkit.errors import EvalkitError
from evalkit.reporting.build import LATER
from evalkit.reporting.formats import write_formats
from evalkit.reporting.manifest import SIGNATURE, check_files, processor, read_manifest, sha256
from evalkit.reporting.signing import check_signature, sign
from evalkit.reporting.strict import strict
from evalkit.reporting.verify import Verification, close, compare, verify
from tests.reporting.conftest import Built
from tests.reporting.test_cli import call

KINDS = ("report.html", "report.ipynb", "effects.csv", "figures/forest.svg", "figures/forest.png", "figures/forest.csv")


@pytest.fixture
def copies(built: Built, tmp_path: Path) -> tuple[Path, Path]:
    """The same report twice."""
    return Path(shutil.copytree(built.first, tmp_path / "old")), Path(shutil.copytree(built.first, tmp_path / "new"))


def changed(file: Path) -> None:
    """One sign of a file made another, near its middle."""
    content = bytearray(file.read_bytes())
    where = next(i for i in range(len(content) // 2, len(content)) if chr(content[i]) in "123456")
    content[where] += 2
    file.write_bytes(content)


def listed(folder: Path, name: str) -> None:
    """The hash of a file in the manifest made that of the file as it is now."""
    manifest = folder / "manifest.json"
    said = json.loads(manifest.read_text(encoding="utf-8"))
    said["files"][name] = sha256(folder / name)
    manifest.write_text(json.dumps(said), encoding="utf-8")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("hidden", [False, True])
def test_one_sign_changed_is_noticed(copies: tuple[Path, Path], name: str, hidden: bool) -> None:
    old, new = copies
    changed(old / name)
    if hidden:  # in the manifest too
        listed(old, name)
    tables, files, digits = compare(old, new, read_manifest(old), exact=True)
    assert len(tables + files) == 1 and (tables + files)[0].startswith(name) and not digits
    if not hidden:
        assert "was changed after the report was written" in files[0]


@pytest.mark.parametrize("name", ["panel.csv", "adoption.csv", "study.toml"])
def test_data_that_were_changed_are_noticed(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Even where every number of the report stays the same: one blank line more."""
    home = Built.under(Path(shutil.copytree(built.study.parents[1], tmp_path / "all")))
    monkeypatch.setattr(
        "evalkit.reporting.verify.write_report",
        lambda study, folder, **_: shutil.copytree(home.second, folder, dirs_exist_ok=True),
    )
    assert verify(home.second).same
    file = home.study.parent / name
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    found = verify(home.second)
    assert found.inputs == (f"input {name} was changed",) and not found.same


@pytest.mark.parametrize("name", [k for k in KINDS if not k.endswith("png")])
def test_a_number_moved_is_noticed_on_another_processor_too(copies: tuple[Path, Path], name: str) -> None:
    old, new = copies
    text = (old / name).read_text(encoding="utf-8")
    (old / name).write_text(text.replace(".1", ".4", 1) if name.endswith("svg") else text.replace("1", "4", 3), "utf-8")
    listed(old, name)
    tables, files, digits = compare(old, new, read_manifest(old), exact=False)
    assert len(tables + files) == 1 and not digits


def test_last_digits_are_told_apart_from_differences(copies: tuple[Path, Path]) -> None:
    old, new = copies
    effects = pd.read_csv(old / "effects.csv")
    effects["estimate"] *= 1 + 4e-9
    effects.to_csv(new / "effects.csv", index=False, float_format="%.10g", lineterminator="\n")
    again = pd.read_csv(old / "effects.csv")
    again.to_csv(old / "effects.csv", index=False, float_format="%.10g", lineterminator="\n")
    for folder in (old, new):
        listed(folder, "effects.csv")
    manifest = read_manifest(old)
    assert compare(old, new, manifest, exact=False) == ([], [], ["effects.csv"])
    assert compare(old, new, manifest, exact=True)[0][0].startswith("effects.csv: ")
    found = Verification((), (), (), (), ("effects.csv",))
    assert found.same and found.lines() == ["effects.csv is the same but for the last digits"]


def test_no_number_of_any_table_has_more_than_ten_digits(built: Built) -> None:
    """The last ones would hang on the processor; those of figures' data too."""
    tables = list(built.first.rglob("*.csv"))
    assert len(tables) > 15 and any(p.parent.name == "figures" for p in tables)
    for table in tables:
        numbers = re.findall(r"(?<![\w.])-?(\d+\.?\d*)(?:e[+-]?\d+)?(?![\w.])", table.read_text(encoding="utf-8"))
        assert [n for n in numbers if len(n.replace(".", "").lstrip("0")) > 10] == [], table.name


def test_figures_may_differ_by_what_no_eye_can_see(copies: tuple[Path, Path], tmp_path: Path) -> None:
    svg = (copies[0] / "figures" / "forest.svg").read_text(encoding="utf-8")
    a, b = tmp_path / "a.svg", tmp_path / "b.svg"
    a.write_text('<path id="p0123456789" d="M 1.25 2"/><use href="#p0123456789"/>' + svg)
    b.write_text('<path id="pabcdef0123" d="M 1.26 2"/><use href="#pabcdef0123"/>' + svg)
    assert close(a, b)
    b.write_text('<path id="pabcdef0123" d="M 1.28 2"/><use href="#pabcdef0123"/>' + svg)
    assert not close(a, b)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"), ("[" * 100_000, "is not JSON"), ("[]", "is not JSON"), ("{}", "lacks study, level, seed"),
        ("\udcff", "is not JSON"), ('{"study": 1, "level": 0.9, "seed": 0}', "lacks study, inputs, versions, files"),
        ('{"study": "x", "level": 0.9, "seed": 0, "inputs": {}, "versions": {}, "files": {"../x": ""}}', "not in its"),
        ('{"study": "x", "level": 0.9, "seed": 0, "inputs": {}, "versions": {}, "files": {"/x": ""}}', "not in its"),
        ('{"study": "x", "level": 0.9, "seed": 0, "inputs": {}, "versions": {}, "files": {}}', "not there any more"),
    ],
)  # fmt: skip
def test_a_broken_manifest_is_said_in_words(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(EvalkitError, match=words):
        verify(tmp_path)
    assert call("verify", tmp_path) == 2 and "Traceback" not in capsys.readouterr().err


def test_nothing_is_made_of_a_changed_report(copies: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = copies
    before = {p: p.read_bytes() for p in report.rglob("*") if p.is_file()}
    for name, to in (("report.ipynb", "html"), ("report.ipynb", "docx"), ("report.html", "pdf")):
        (report / name).write_bytes(before[report / name] + b" ")
        assert call("report", report, "--to", to) == 2
        assert "changed after the report was written" in " ".join(capsys.readouterr().err.split())
        (report / name).write_bytes(before[report / name])
    (report / "figures" / "forest.png").write_bytes(b"no picture")
    with pytest.raises(EvalkitError, match=r"figures/forest\.png .* is not the file that its manifest names"):
        write_formats(report, ["docx"])
    listed(report, "figures/forest.png")
    with pytest.raises(EvalkitError, match="is not as evalkit makes it"):
        write_formats(report, ["docx"])
    assert not list(report.glob("report.docx")) and not list(report.glob("report.pdf"))


@pytest.mark.parametrize(
    "piece",
    [
        "<script>1</script>", "<iframe src='file:///etc/passwd'></iframe>", "<img src='https://example.org/x.png'>",
        "<p onclick='1'>x</p>", "<a href='javascript:1'>x</a>", "<object data='x'></object>", "<link rel='stylesheet'>",
        "<meta http-equiv='refresh' content='0;url=x'>", "<svg><use xlink:href='x'/></svg>", "<form action='x'></form>",
        "<a href='../x.csv'>x</a>", "<a href='https://example.org/x.csv'>x</a>", "<img src='x.csv'>",
        "<img srcset='data:image/svg+xml;base64,AA, https://example.org/x'>", "<p style='background:url(x)'>x</p>",
    ],
)  # fmt: skip
def test_what_no_report_holds_is_refused_whatever_its_manifest_says(built: Built, piece: str) -> None:
    assert strict(built.page)
    with pytest.raises(EvalkitError, match="somebody changed the report"):
        strict(built.page.replace("<main", f"{piece}<main"))


def test_a_doctored_notebook_and_manifest_are_refused(copies: tuple[Path, Path]) -> None:
    report, _ = copies
    notebook = report / "report.ipynb"
    text = notebook.read_text(encoding="utf-8")
    notebook.write_text(text.replace("<caption>", "<script>1</script><caption>", 1), encoding="utf-8")
    listed(report, "report.ipynb")
    page = (report / "report.html").read_bytes()
    with pytest.raises(EvalkitError, match="somebody changed the report"):
        write_formats(report, ["html"])
    notebook.write_text("{", encoding="utf-8")
    listed(report, "report.ipynb")
    with pytest.raises(EvalkitError, match="is not a notebook"):
        write_formats(report, ["html"])
    assert (report / "report.html").read_bytes() == page


def test_each_page_carries_a_policy_against_scripts(built: Built) -> None:
    head = built.page.partition("</head>")[0]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert re.search(
        f'<meta content="{policy}[^"]*" http-equiv="Content-Security-Policy"/>', head.partition("<style>")[0]
    )


def test_the_manifest_names_the_processor(built: Built) -> None:
    assert read_manifest(built.first)["processor"] == processor()
    check_files(built.first, ["report.html", "figures/forest.png"])
    with pytest.raises(EvalkitError, match=r"no report\.pdf"):
        check_files(built.first, ["report.pdf"])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SSH keys of two people, and a list of signers that holds the first alone."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("NOBODY SIGNED A REPORT: OpenSSH is not installed.")
    home = tmp_path_factory.mktemp("keys")
    for name in ("hers", "his"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(home / name)]
        subprocess.run(make, check=True)
    (home / "signers").write_text(f"she@example.org {(home / 'hers.pub').read_text()}")
    return home


def test_a_signature_says_who_answers_for_every_file(copies: tuple[Path, Path], keys: Path) -> None:
    report, _ = copies
    made = sign(report, keys / "hers")
    assert made.name in LATER  # it goes when the report is written again
    assert check_signature(report, keys / "signers") == "she@example.org"
    for name in ("report.html", "effects.csv", "figures/forest.svg"):
        before, manifest = (report / name).read_bytes(), (report / "manifest.json").read_bytes()
        changed(report / name)
        with pytest.raises(EvalkitError, match="was changed after the report"):
            check_signature(report, keys / "signers")
        listed(report, name)
        with pytest.raises(EvalkitError, match="does not fit the manifest as it is"):
            check_signature(report, keys / "signers")
        (report / name).write_bytes(before)
        (report / "manifest.json").write_bytes(manifest)
    assert check_signature(report, keys / "signers") == "she@example.org"


def test_a_signature_of_anybody_else_is_none(copies: tuple[Path, Path], keys: Path) -> None:
    report, _ = copies
    with pytest.raises(EvalkitError, match="The report is not signed"):
        check_signature(report, keys / "signers")
    sign(report, keys / "his")
    with pytest.raises(EvalkitError, match="is of nobody among the signers"):
        check_signature(report, keys / "signers")
    with pytest.raises(EvalkitError, match="There is no list of signers"):
        check_signature(report, keys / "nobody")
    other = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(keys / "hers"), "-n", "git", str(report / "manifest.json")]
    (report / SIGNATURE).unlink()
    subprocess.run(other, check=True, capture_output=True)
    with pytest.raises(EvalkitError, match="does not fit the manifest"):
        check_signature(report, keys / "signers")
    for key in (keys / "nobody", keys / "signers"):
        with pytest.raises(EvalkitError, match="could not sign: "):
            sign(report, key)


def test_nobody_signs_what_was_changed_or_without_openssh(
    copies: tuple[Path, Path], keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, _ = copies
    changed(report / "effects.csv")
    with pytest.raises(EvalkitError, match="was changed after the report was written"):
        sign(report, keys / "hers")
    listed(report, "effects.csv")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EvalkitError, match="Signatures need OpenSSH"):
        sign(report, keys / "hers")
    assert not (report / SIGNATURE).exists()


def test_the_command_signs_and_asks_for_signatures(
    copies: tuple[Path, Path], keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report, _ = copies
    monkeypatch.setattr("evalkit.reporting.verify.verify", lambda _: Verification((), (), (), ()))
    assert call("verify", report, "--signers", keys / "signers") == 2
    assert call("sign", report, "--key", keys / "hers") == 0
    assert call("verify", report, "--signers", keys / "signers") == 0
    assert "Signed by she@example.org, and every file is as it was signed." in capsys.readouterr().out
