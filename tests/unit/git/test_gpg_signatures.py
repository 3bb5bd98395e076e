"""GPG signatures against a ring of public keys, with real keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_ops.git.signatures.errors import SignatureSetupError, UnsignedCommitError
from tests.programs import need
from tests.unit.git.signing import CODE, Keys, Team, run

NEEDS = "gpg"


class Ring:
    """A home of gpg with a key for each person."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        for name, expires in (("ada", "never"), ("eve", "never"), ("old", "seconds=1"), ("gone", "never")):
            self.gpg(
                "--passphrase=", "--quick-gen-key", f"{name} <{name}@localhost>", "ed25519", "sign", expires
            )

    def gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return run("gpg", "--homedir", str(self.home), "--batch", "--yes", "--quiet", *arguments, stdin=stdin)

    def export(self, *names: str, armor: bool = True) -> bytes:
        return self.gpg(*(["--armor"] if armor else []), "--export", *(f"{name}@localhost" for name in names))

    def revoke(self, name: str) -> None:
        listing = self.gpg("--with-colons", "--list-keys", f"{name}@localhost").decode()
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        file = self.home / "openpgp-revocs.d" / f"{fingerprint}.rev"
        # gpg puts a colon in front of the certificate, so that it is not imported by accident.
        self.gpg("--import", stdin=file.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Ring:
    need(NEEDS)
    # Its agent's socket needs a short path.
    return Ring(tmp_path_factory.mktemp("g") / "h")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def team(tmp_path: Path, keys: Keys, ring: Ring, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.setenv("GNUPGHOME", str(ring.home))
    return Team(tmp_path, keys)


def commit(team: Team, text: str, signer: str, email: str | None = None, *options: str) -> str:
    team.clone.git("config", "user.signingKey", f"{signer}@localhost")
    team.commit({CODE: text}, None)
    as_signer = ("-c", "commit.gpgSign=true", "-c", f"user.email={email or f'{signer}@localhost'}")
    team.clone.git(*as_signer, *options, "commit", "-q", "--amend", "--no-edit", "--reset-author")
    return team.head


@pytest.mark.parametrize("form", ["armor", "binary", "keybox"])
def test_a_commit_that_is_signed_with_a_key_of_the_ring_is_accepted(
    team: Team, ring: Ring, form: str
) -> None:
    applied = commit(team, "1", "ada")
    head = commit(team, "2", "ada")
    file = team.folder / "keys"
    file.write_bytes(
        (ring.home / "pubring.kbx").read_bytes()
        if form == "keybox"
        else ring.export("ada", armor=form == "armor")
    )
    found = team.check(head, applied, signers=[file])
    assert found[head].startswith("ada <ada@localhost> (GPG key ")


def test_keys_of_both_kinds_count_together(team: Team, ring: Ring) -> None:
    file = team.folder / "keys.asc"
    file.write_bytes(ring.export("ada"))
    applied, first = team.commit({CODE: "1"}), commit(team, "2", "ada")
    second = team.commit({CODE: "3"}, "bob")
    assert list(team.check(second, applied, signers=[file, team.signers])) == [first, second]
    with pytest.raises(UnsignedCommitError, match="signed with SSH"):
        team.check(second, applied, signers=[file])


@pytest.mark.parametrize(
    ("signer", "email", "reason"),
    [
        ("eve", None, "its key is not in the key ring"),
        ("eve", "ada@localhost", "its key is not in the key ring"),
        (
            "ada",
            "bob@localhost",
            "its key is that of ada@localhost, which may not sign commits of bob@localhost",
        ),
        ("gone", None, "its key is revoked"),
    ],
)
def test_an_unknown_revoked_or_borrowed_key_is_refused(
    team: Team, ring: Ring, signer: str, email: str | None, reason: str
) -> None:
    applied = commit(team, "1", "ada")
    head = commit(team, "2", signer, email)
    if signer == "gone":
        ring.revoke("gone")
    file = team.folder / "keys"
    file.write_bytes(ring.export("ada", "gone"))
    with pytest.raises(UnsignedCommitError, match=reason):
        team.check(head, applied, signers=[file])


def test_an_expired_key_is_refused(team: Team, ring: Ring) -> None:
    """The key is valid for a second after its creation; its holder turns back the clock."""
    applied = commit(team, "1", "ada")
    created = next(
        line.split(":")[5]
        for line in ring.gpg("--with-colons", "--list-keys", "old@localhost").decode().splitlines()
        if line.startswith("pub:")
    )
    backdated = team.folder / "gpg"
    backdated.write_text(f'#!/bin/sh\nexec gpg --faked-system-time {created} "$@"\n')
    backdated.chmod(0o755)
    head = commit(team, "2", "old", None, "-c", f"gpg.program={backdated}")
    file = team.folder / "keys"
    file.write_bytes(ring.export("ada", "old"))
    with pytest.raises(UnsignedCommitError, match="its key has expired"):
        team.check(head, applied, signers=[file])


def test_a_signature_of_another_commit_is_refused(team: Team, ring: Ring) -> None:
    applied = commit(team, "1", "ada")
    good = team.object(commit(team, "2", "ada"))
    file = team.folder / "keys"
    file.write_bytes(ring.export("ada"))
    with pytest.raises(UnsignedCommitError, match="does not match its content"):
        team.check(team.forge(good.replace(b"\n\nchange", b"\n\nevil")), applied, signers=[file])


def test_a_key_ring_without_a_key_is_an_error_of_the_deployment(team: Team) -> None:
    applied, head = commit(team, "1", "ada"), commit(team, "2", "ada")
    file = team.folder / "keys"
    file.write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nQQ==\n-----END PGP PUBLIC KEY BLOCK-----\n")
    with pytest.raises(SignatureSetupError, match="GPG key ring without a usable key"):
        team.check(head, applied, signers=[file])
