"""A report signed, and a signature checked: who answers for its manifest, and for every file that the manifest names.

OpenSSH signs (`ssh-keygen -Y sign`, format SSHSIG), as it does for git; keys and lists of signers are those of SSH.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from evalkit.errors import EvalkitError
from evalkit.folders import put
from evalkit.reporting.manifest import NAME, SIGNATURE, check_files, read_manifest

_MEANT_FOR = "evalkit-report"  # a signature made for anything else is none of a report
_TIMEOUT = 120


def sign(folder: str | Path, key: str | Path) -> Path:
    """Sign the manifest of a report with a private SSH key; return the path of the signature, manifest.json.sig.

    ssh-keygen asks for the key's pass phrase, or its agent knows it. Raises `EvalkitError` where a file is not as the
    manifest says (nobody should sign that), where OpenSSH is not there and where the key cannot sign.
    """
    place, key = Path(folder).resolve(), Path(key).resolve()
    check_files(place, read_manifest(place)["files"])
    with tempfile.TemporaryDirectory(prefix="evalkit-") as scratch:
        copy = Path(shutil.copy(place / NAME, scratch))
        done = _ssh("sign", "-f", str(key), "-n", _MEANT_FOR, str(copy))
        made = copy.with_name(SIGNATURE)
        if done.returncode or not made.is_file():
            raise EvalkitError(f"The key {str(key)!r} could not sign: {_last(done)}.")
        return put(place / SIGNATURE, made.read_bytes())


def check_signature(folder: str | Path, signers: str | Path) -> str:
    """Who signed a report. signers: a file of allowed signers as ssh-keygen(1) describes it, a name and a key a line.

    Raises `EvalkitError` where the report is not signed, the signature is not of its manifest or of nobody among the
    signers, and where a file is not as the manifest says.
    """
    place, signers = Path(folder).resolve(), Path(signers).resolve()
    for file, what in ((place / SIGNATURE, "The report is not signed"), (signers, "There is no list of signers")):
        if not file.is_file():
            raise EvalkitError(f"{what}: there is no file {str(file)!r}.")
    listed = ("-f", str(signers), "-s", str(place / SIGNATURE))
    found = _ssh("find-principals", *listed).stdout.decode(errors="replace").splitlines()
    for name in found[:1]:
        with (place / NAME).open("rb") as manifest:
            if not _ssh("verify", *listed, "-n", _MEANT_FOR, "-I", name, given=manifest.read()).returncode:
                check_files(place, read_manifest(place)["files"])
                return name
    why = "does not fit the manifest as it is" if found else "is of nobody among the signers"
    raise EvalkitError(f"The signature {str(place / SIGNATURE)!r} {why}: the report may be anybody's.")


def _ssh(act: str, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise EvalkitError("Signatures need OpenSSH, which is not installed (Debian, Ubuntu: openssh-client).")
    try:
        # S603 is set aside: no shell reads the command, and every path in it is absolute, so that none is an option
        return subprocess.run([program, "-Y", act, *arguments], input=given, capture_output=True, timeout=_TIMEOUT)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EvalkitError(f"ssh-keygen could not be run: {type(error).__name__}.") from None


def _last(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line of what a program complained of."""
    return next(iter(done.stderr.decode(errors="replace").strip().splitlines()[::-1]), "it said nothing").rstrip(".")
