"""Whose bundle it is: a signature over every file, in the format of Sigstore's model-signing library.

`model.sig` lies beside the files and is listed nowhere: it covers the manifest as well. `engines/` is not signed, for
engines are built later, on each machine. A key is an elliptic curve's (P-256, P-384 or P-521), in PEM:

    openssl ecparam -name prime256v1 -genkey -noout -out private.pem
    openssl ec -in private.pem -pubout -out public.pem
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from zoo.errors import InputError, VerdictError, missing_package

FILE = "model.sig"
UNSIGNED = (FILE, "engines")


def signer(key: str | Path) -> Callable[[Path], None]:
    """What signs a bundle's folder with the private key, which is read now. `InputError` when it is no such key."""
    try:
        from model_signing import hashing, signing
    except ImportError:
        raise missing_package("model-signing", "sign", "signing a bundle") from None
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=Path(key))
    except OSError as error:
        raise InputError(f"cannot read the key {key}: {error.strerror}") from None
    except TypeError:  # what cryptography says of a key with a password, when none is given
        raise InputError(f"the key {key} has a password: decrypt it first, openssl ec -in {key}") from None
    except (ValueError, AttributeError):  # the latter: a key without a curve
        raise InputError(f"{key} is no private key of an elliptic curve (P-256, P-384 or P-521) in PEM") from None
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=UNSIGNED))

    def sign(folder: Path) -> None:
        config.sign(folder, folder / FILE)

    return sign


def verify(folder: Path, public_key: str | Path) -> None:
    """Check that every file of the bundle is the one that the holder of the key signed, and that no file was added.

    `VerdictError` when one is not, `InputError` when there is no signature or no key to check it with.
    """
    try:
        from model_signing import verifying
    except ImportError:
        raise missing_package("model-signing", "sign", "checking a signature") from None
    if not (folder / FILE).is_file():
        raise InputError(f"{folder} is not signed: it has no {FILE}")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=Path(public_key))
    except OSError as error:
        raise InputError(f"cannot read the key {public_key}: {error.strerror}") from None
    except (ValueError, AttributeError):
        raise InputError(f"{public_key} is no public key of an elliptic curve (P-256, P-384 or P-521)") from None
    try:
        config.verify(folder, folder / FILE)
    except Exception as error:  # several libraries raise their own below; whatever it is, nothing is proven
        raise VerdictError(f"{folder}: the signature does not hold: {_reason(str(error))}") from None


def _reason(message: str) -> str:
    """The library's message in one line, digests left out: which files are others than those that were signed."""
    found = [f"{name} was changed" for name in re.findall(r"Hash mismatch for '([^']+)'", message)]
    for word, what in (("Extra", "added"), ("Missing", "removed")):
        found += [f"{names} was {what}" for names in re.findall(rf"{word} files [^:]*: ([^\"'\]]+)", message)]
    return "; ".join(found) or " ".join(message.split()) or "it was not made with this key"
