"""Which commits count as signed by an allowed signer: real keys, real repositories, forged commit objects."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from feature_ops.git.signatures.allowed_signers import AllowedSigners
from feature_ops.git.signatures.errors import InvalidSignatureError, SignatureSetupError, UnsignedCommitError
from feature_ops.git.signatures.signed_commit import SignedCommit
from tests.unit.git.signing import CODE, Keys, Team, run


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def team(tmp_path: Path, keys: Keys) -> Team:
    return Team(tmp_path, keys)


def test_a_commit_of_an_allowed_signer_is_accepted_and_the_signer_is_named(team: Team) -> None:
    applied = team.commit({CODE: "1"}, None)
    first, second = team.commit({CODE: "2"}), team.commit({CODE: "3"}, "bob")
    found = team.check(second, applied)
    assert list(found) == [first, second]
    assert re.fullmatch(r"ada@localhost \(ED25519 key SHA256:\S+\)", found[first])
    assert found[second].startswith("bob@localhost (")


def test_the_refusal_names_commit_author_change_and_remedy(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    bad = team.commit({CODE: "2"}, None, subject="Add tempo")
    with pytest.raises(UnsignedCommitError) as refused:
        team.check(bad, applied)
    message = str(refused.value)
    assert f"commit {bad[:10]} “Add tempo” by Ada Ü changes feature_repo, and it is not signed" in message
    assert "Nothing was loaded" in message
    assert "git commit --amend --no-edit -S" in message


def test_all_refused_commits_of_a_push_are_named_up_to_three(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    bad = [team.commit({CODE: text}, None) for text in "2345"]
    with pytest.raises(UnsignedCommitError) as refused:
        team.check(bad[-1], applied)
    assert [sha[:10] in str(refused.value) for sha in bad] == [True, True, True, False]


Forgery = Callable[[Team], str]


def _unsigned(team: Team) -> str:
    return team.commit({CODE: "2"}, None)


def _unknown_key(team: Team) -> str:
    return team.commit({CODE: "2"}, "eve")


def _committer_of_an_allowed_signer_without_signature(team: Team) -> str:
    return team.git("-c", "user.name=ada", "commit", "-q", "--allow-empty", "-am", "x", signer=None)


def _committer_of_an_allowed_signer_with_another_key(team: Team) -> str:
    team.commit({CODE: "2"}, "eve")
    forged = ("-c", "user.name=ada", "-c", "user.email=ada@localhost")
    return team.git(*forged, "commit", "-q", "--amend", "--no-edit", "--reset-author", signer="eve")


def _allowed_signer_with_the_name_of_another_one(team: Team) -> str:
    team.commit({CODE: "2"}, "bob")
    forged = ("-c", "user.name=ada", "-c", "user.email=ada@localhost")
    return team.git(*forged, "commit", "-q", "--amend", "--no-edit", "--reset-author", signer="bob")


def _signature_copied_from_another_commit(team: Team) -> str:
    good = team.object(team.commit({CODE: "good"}))
    team.git("reset", "-q", "--hard", "HEAD^")
    bad = team.object(team.commit({CODE: "bad"}, None))
    signature = re.search(rb"gpgsig .*?-----END SSH SIGNATURE-----\n", good, re.DOTALL)
    assert signature
    return team.forge(bad.replace(b"\n\n", b"\n" + signature[0] + b"\n", 1))


def _tree_replaced(team: Team) -> str:
    good = team.object(team.commit({CODE: "good"}))
    team.git("reset", "-q", "--hard", "HEAD^")
    bad = team.object(team.commit({CODE: "bad"}, None))
    return team.forge(bad[:46] + good[46:])


def _parents_hidden_behind_the_signature(team: Team) -> str:
    """The signature field in front of the parents: git then sees a commit without parents."""
    team.commit({CODE: "evil"}, None)
    good = team.object(team.commit({CODE: "2"}))
    signature = re.search(rb"gpgsig .*?-----END SSH SIGNATURE-----\n", good, re.DOTALL)
    assert signature
    plain = good.replace(signature[0], b"")
    return team.forge(plain[:46] + signature[0] + plain[46:])


def _two_signatures(team: Team) -> str:
    good = team.object(team.commit({CODE: "2"}))
    signature = re.search(rb"gpgsig .*?-----END SSH SIGNATURE-----\n", good, re.DOTALL)
    assert signature
    return team.forge(good.replace(signature[0], signature[0] * 2))


def _second_armor_in_the_signature(team: Team) -> str:
    good = team.object(team.commit({CODE: "2"}))
    end = b" -----END SSH SIGNATURE-----\n"
    return team.forge(good.replace(end, end + b" -----BEGIN SSH SIGNATURE-----\n QQ==\n" + end))


def _unsigned_field_beside_the_signature(team: Team) -> str:
    good = team.object(team.commit({CODE: "2"}))
    return team.forge(good.replace(b"\ngpgsig ", b"\ngpgsig-sha256 x\ngpgsig ", 1))


def _other_namespace(team: Team) -> str:
    """A signature that the allowed key made of a file, not of a commit."""
    plain = team.object(team.commit({CODE: "2"}, None)).replace(b"Ada \xc3\x9c", b"ada")
    key = str(team.keys.private("ada"))
    armor = run("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", key, stdin=plain)
    field = b"gpgsig " + armor.strip().replace(b"\n", b"\n ") + b"\n"
    return team.forge(plain.replace(b"\n\n", b"\n" + field + b"\n", 1))


def _x509(team: Team) -> str:
    plain = team.object(team.commit({CODE: "2"}, None))
    field = b"gpgsig -----BEGIN SIGNED MESSAGE-----\n QQ==\n -----END SIGNED MESSAGE-----\n"
    return team.forge(plain.replace(b"\n\n", b"\n" + field + b"\n", 1))


def _gpg_without_a_key_ring(team: Team) -> str:
    plain = team.object(team.commit({CODE: "2"}, None))
    field = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n QQ==\n -----END PGP SIGNATURE-----\n"
    return team.forge(plain.replace(b"\n\n", b"\n" + field + b"\n", 1))


def _signature_in_the_message(team: Team) -> str:
    good = team.object(team.commit({CODE: "2"}))
    signature = re.search(rb"gpgsig .*?-----END SSH SIGNATURE-----\n", good, re.DOTALL)
    assert signature
    return team.forge(good.replace(signature[0], b"") + b"\n" + signature[0])


@pytest.mark.parametrize(
    ("forgery", "reason"),
    [
        (_unsigned, "it is not signed"),
        (_unknown_key, r"its key \(ED25519 key SHA256:\S+\) is not one of an allowed signer"),
        (_committer_of_an_allowed_signer_with_another_key, "is not one of an allowed signer"),
        (
            _allowed_signer_with_the_name_of_another_one,
            "its key is that of bob@localhost, which may not sign commits of ada@localhost",
        ),
        (_signature_copied_from_another_commit, "does not match its content"),
        (_tree_replaced, "does not match its content"),
        (_parents_hidden_behind_the_signature, "not in the form that git writes"),
        (_two_signatures, "more than one signature"),
        (_second_armor_in_the_signature, "neither an SSH nor a GPG signature"),
        (_unsigned_field_beside_the_signature, "not in the form that git writes"),
        (_other_namespace, "does not match its content"),
        (_x509, "neither an SSH nor a GPG signature"),
        (_gpg_without_a_key_ring, "signed with GPG, and FEATURE_OPS_GIT_ALLOWED_SIGNERS names no such file"),
        (_signature_in_the_message, "it is not signed"),
    ],
)
def test_a_forged_commit_is_refused_with_the_reason(team: Team, forgery: Forgery, reason: str) -> None:
    applied = team.commit({CODE: "1"})
    bad = forgery(team)
    with pytest.raises(UnsignedCommitError, match=reason) as refused:
        team.check(bad, applied)
    assert bad[:10] in str(refused.value)


@pytest.mark.parametrize(
    ("options", "date"),
    [
        pytest.param('valid-before="20200101"', None, id="expired"),
        pytest.param('valid-before="20200101"', "2019-06-01T00:00:00Z", id="expired, commit dated back"),
        pytest.param('valid-after="20990101"', None, id="not valid yet"),
        pytest.param('valid-after="20990101"', "2099-06-01T00:00:00Z", id="not valid yet, dated ahead"),
        pytest.param('namespaces="file"', None, id="for files only"),
    ],
)
def test_a_key_must_be_valid_now_whatever_date_the_commit_claims(
    team: Team, monkeypatch: pytest.MonkeyPatch, options: str, date: str | None
) -> None:
    applied = team.commit({CODE: "1"})
    if date:
        monkeypatch.setenv("GIT_COMMITTER_DATE", date)
    bad = team.commit({CODE: "2"}, "old")
    team.signers.write_text(team.keys.line("ada") + team.keys.line("old", options=options))
    with pytest.raises(
        UnsignedCommitError, match=r"its key is not valid now|may not sign commits of old@localhost"
    ):
        team.check(bad, applied)
    team.signers.write_text(team.keys.line("old", options='valid-after="20200101",namespaces="git"'))
    assert list(team.check(bad, applied)) == [bad]


def test_a_key_that_was_removed_from_the_file_counts_no_more(team: Team) -> None:
    applied, head = team.commit({CODE: "1"}), team.commit({CODE: "2"}, "bob")
    assert team.check(head, applied)
    team.signers.write_text(team.keys.line("ada"))
    with pytest.raises(UnsignedCommitError):
        team.check(head, applied)


@pytest.mark.parametrize("principal", ["*@localhost", "ada@localhost,bob@localhost", "build-server", "*"])
def test_principals_are_patterns_of_addresses_or_plain_names(team: Team, principal: str) -> None:
    team.signers.write_text(team.keys.line("bob", principal))
    applied, head = team.commit({CODE: "1"}), team.commit({CODE: "2"}, "bob")
    assert list(team.check(head, applied)) == [head]


def test_several_files_of_signers_count_together(team: Team, tmp_path: Path) -> None:
    applied, head = team.commit({CODE: "1"}), team.commit({CODE: "2"}, "eve")
    more = tmp_path / "more"
    more.write_text("# guests\n\n" + team.keys.line("eve"))
    assert team.check(head, applied, signers=[team.signers, more])


@pytest.mark.parametrize(
    "content", [b"not a line of an allowed-signers file\n", b"ada@localhost ssh-ed25519 AAAA\n"]
)
def test_a_file_of_signers_that_is_damaged_allows_nobody(team: Team, content: bytes) -> None:
    team.signers.write_bytes(content)
    applied, head = team.commit({CODE: "1"}), team.commit({CODE: "2"})
    with pytest.raises(UnsignedCommitError):
        team.check(head, applied)


@pytest.mark.parametrize("content", [None, b"", b"# nobody\n\n"])
def test_a_missing_or_empty_file_of_signers_is_an_error_of_the_deployment(
    team: Team, content: bytes | None
) -> None:
    team.signers.unlink()
    if content is not None:
        team.signers.write_bytes(content)
    with pytest.raises(SignatureSetupError, match=f"FEATURE_OPS_GIT_ALLOWED_SIGNERS names {team.signers}"):
        AllowedSigners.read([team.signers], team.folder / "scratch")


def test_a_missing_program_is_named_with_its_package(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    content = team.object(team.commit({CODE: "1"}))
    signers = AllowedSigners.read([team.signers], team.folder / "scratch")
    monkeypatch.setenv("PATH", str(team.folder))
    with pytest.raises(
        SignatureSetupError, match="ssh-keygen is not installed: install the package openssh-client"
    ):
        signers.verify(content)


def test_a_commit_object_that_is_too_large_is_refused(team: Team) -> None:
    signers = AllowedSigners.read([team.signers], team.folder / "scratch")
    with pytest.raises(InvalidSignatureError, match="larger than 1,048,576 bytes"):
        signers.verify(b"tree " + b"a" * (1 << 21))


@pytest.mark.parametrize(
    "message",
    [
        "one line",
        "subject\n\nbody\n\n\ntrailer: x\n",
        "subject\n\ngpgsig -----BEGIN SSH SIGNATURE-----\n QQ==\n -----END SSH SIGNATURE-----\n",
        "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nparent 0\n\nx",
        "größe 노래\n",
    ],
)
@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1"])
def test_what_git_signs_is_read_as_git_reads_it(team: Team, message: str, encoding: str) -> None:
    text = message if encoding == "UTF-8" else message.replace("노래", "")
    file = team.folder / "message"
    file.write_bytes(text.encode(encoding))
    commit = team.git(
        *("-c", f"i18n.commitEncoding={encoding}", "commit", "-q", "--allow-empty", "--cleanup=verbatim"),
        *("-F", str(file)),
    )
    options = ["-c", f"gpg.ssh.allowedSignersFile={team.signers}"]
    git = ["git", "-C", str(team.clone.folder), *options, "verify-commit", commit]
    assert subprocess.run(git, capture_output=True, check=False).returncode == 0
    assert AllowedSigners.read([team.signers], team.folder / "scratch").verify(team.object(commit))


def test_a_merged_tag_in_the_header_is_part_of_what_is_signed(team: Team) -> None:
    team.commit({"a": "1"})
    team.git("checkout", "-q", "-b", "side")
    team.commit({"b": "1"})
    team.git("tag", "-s", "-m", "signed tag", "v1")
    team.git("checkout", "-q", "main")
    team.commit({"c": "1"})
    content = team.object(team.git("merge", "-q", "--no-ff", "-m", "merge", "v1"))
    assert b"\nmergetag object " in content
    signers = AllowedSigners.read([team.signers], team.folder / "scratch")
    assert signers.verify(content).startswith("ada@localhost")
    with pytest.raises(InvalidSignatureError, match="does not match"):
        signers.verify(content.replace(b" tag v1", b" tag v2"))


def test_every_changed_byte_of_a_signed_commit_is_noticed(team: Team) -> None:
    """Parsing alone: the payload and the signature together hold every byte of the object but the framing."""
    content = team.object(team.commit({CODE: "1"}, subject="x"))
    whole = SignedCommit.parse(content)
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        try:
            parsed = SignedCommit.parse(changed)
        except InvalidSignatureError:
            continue
        assert (parsed.payload, parsed.signature) != (whole.payload, whole.signature)
