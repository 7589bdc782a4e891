"""Signed bundles, by the real model-signing library: every file is covered, and only the right key will do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.command import one_line
from tests.support.tiny import tiny_bundle
from tests.support.world import add_plan
from zoo.bundle import signature
from zoo.errors import InputError, VerdictError

PEM, NONE = serialization.Encoding.PEM, serialization.NoEncryption()


def private_pem(key, encryption=NONE) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our key pair, somebody else's public key, and keys that will not do."""
    folder = tmp_path_factory.mktemp("keys")
    ours, theirs, odd = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()), rsa
    (folder / "private.pem").write_bytes(private_pem(ours))
    (folder / "public.pem").write_bytes(public_pem(ours))
    (folder / "other.pem").write_bytes(public_pem(theirs))
    (folder / "locked.pem").write_bytes(private_pem(ours, serialization.BestAvailableEncryption(b"secret")))
    wrong = odd.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "rsa.pem").write_bytes(private_pem(wrong))
    (folder / "rsa_public.pem").write_bytes(public_pem(wrong))
    (folder / "text.pem").write_text("not a key")
    return folder


@pytest.fixture(scope="module")
def signed(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = tiny_bundle(tmp_path_factory.mktemp("signed") / "tiny.zoo")
    signature.signer(keys / "private.pem")(bundle)
    return bundle


def test_a_signed_bundle_may_move_and_get_engines(signed, keys, tmp_path):
    copy = shutil.copytree(signed, tmp_path / "another name.zoo")
    add_plan(copy, "tensorrt-fp32-h200")
    signature.verify(copy, keys / "public.pem")


def test_any_change_is_found(signed, keys, tmp_path):
    names = sorted(path.name for path in signed.iterdir())
    assert {"manifest.json", "model.sig", "labels.json", "selftest.safetensors"} < set(names)
    for name in names:
        copy = shutil.copytree(signed, tmp_path / f"changed-{name}.zoo")
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(VerdictError, match="the signature does not hold"):
            signature.verify(copy, keys / "public.pem")
    copy = shutil.copytree(signed, tmp_path / "more.zoo")
    (copy / "added.txt").write_text("")
    with pytest.raises(VerdictError, match=r"added\.txt"):
        signature.verify(copy, keys / "public.pem")
    (copy / "added.txt").unlink()
    (copy / "labels.json").unlink()
    with pytest.raises(VerdictError, match=r"labels\.json"):
        signature.verify(copy, keys / "public.pem")


def test_only_the_signers_key_will_do(signed, keys, tmp_path):
    with pytest.raises(VerdictError, match="Key mismatch"):
        signature.verify(signed, keys / "other.pem")
    for name in ("rsa_public.pem", "text.pem"):
        with pytest.raises(InputError, match="is no public key of an elliptic curve"):
            signature.verify(signed, keys / name)
    with pytest.raises(InputError, match="is not signed"):
        signature.verify(tiny_bundle(tmp_path / "plain.zoo"), keys / "public.pem")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("rsa.pem", "no private key of an elliptic curve"),
        ("text.pem", "no private key of an elliptic curve"),
        ("public.pem", "no private key of an elliptic curve"),
        ("locked.pem", "has a password"),
        ("missing.pem", "cannot read the key"),
    ],
)
def test_keys_that_cannot_sign(name, complaint, keys):
    with pytest.raises(InputError, match=complaint):
        signature.signer(keys / name)


def test_verify_command(zoo_command, signed, keys, tmp_path):
    shown = zoo_command("verify", signed, "--signature", "--public-key", keys / "public.pem")
    assert shown.returncode == 0, shown.stderr
    assert "signed by the holder of" in shown.stdout
    shown = zoo_command("verify", signed, "--signature")
    assert shown.returncode == 2
    assert "--signature needs --public-key" in one_line(shown.stderr)
    copy = shutil.copytree(signed, tmp_path / "copy.zoo")
    (copy / "README.md").write_text("a new card that no manifest lists")
    shown = zoo_command("verify", copy, "--public-key", keys / "public.pem")
    assert shown.returncode == 1
    assert "README.md" in one_line(shown.stderr)


def test_export_signs_what_it_packs(run, keys, tmp_path):
    from export.packing.request import Options
    from export.packing.sources.checkpoint import pack_checkpoint

    out = tmp_path / "vgg.zoo"
    with pytest.raises(InputError, match="cannot read the key"):
        pack_checkpoint(run.folder / "vgg", out, splits=run.splits, options=Options(sign=keys / "missing.pem"))
    assert not out.exists()
    signing = Options(sign=keys / "private.pem")
    manifest = pack_checkpoint(run.folder / "vgg", out, splits=run.splits, precisions=["fp32"], options=signing)
    assert "model.sig" not in manifest.files
    signature.verify(out, keys / "public.pem")
