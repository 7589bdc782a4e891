"""Bundles on the Hugging Face hub: one repository is one bundle, each push one commit.

The hub's own library does the transfers. It takes the token from HF_TOKEN or from `hf auth login`, and the address
from HF_ENDPOINT; neither passes through here.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from zoo.bundle import signature
from zoo.bundle.bundle import MANIFEST, Bundle, inside
from zoo.bundle.manifest import Manifest, read_manifest
from zoo.errors import EnvironmentProblem, InputError, VerdictError, first_line, missing_package
from zoo.files import atomic_folder
from zoo.progress import note

OURS = "model.*"  # graphs and signature: those of an older push go when they are not in this one


def push(bundle: Bundle, repository: str, *, public: bool = False, message: str = "") -> str:
    """Upload the bundle as one commit and return the commit's address. The repository is made if it is not there,
    private unless `public`. Engines stay here: they are built for one machine.

    Raises `InputError` when a file is not as the manifest says, or without the right to write there.
    """
    bundle.check_files()
    with _hub(repository) as hub:
        api = hub.HfApi()
        api.create_repo(repository, private=not public, exist_ok=True)
        note(f"{bundle.path} goes to {api.endpoint}/{repository}")
        with warnings.catch_warnings():
            # The model card has no front matter for the hub's search, and needs none.
            warnings.filterwarnings("ignore", message="Warnings while validating metadata")
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=bundle.path,
                allow_patterns=_patterns(bundle.manifest),
                delete_patterns=[OURS],
                commit_message=message or f"{bundle.manifest.name}, packed by distilzoo",
            )
    return str(commit.commit_url)


def pull(repository: str, out: Path, *, revision: str = "main", public_key: Path | None = None) -> Bundle:
    """Download a bundle to `out`, a folder that ends in .zoo, and check it before it appears there.

    `revision`: a branch, tag or commit. With a `public_key` its signature has to hold as well. When anything fails
    nothing is written, and a bundle that was there before stays.
    """
    if out.suffix != ".zoo":
        raise InputError(f"a bundle's name ends in .zoo: {out}")
    if out.exists() and not (out / MANIFEST).is_file():
        raise InputError(f"{out} is there already and is no bundle: it is not replaced")
    with _hub(repository) as hub:
        # One commit for all files: a push in between must not mix two bundles.
        commit = hub.HfApi().repo_info(repository, revision=revision).sha
        manifest = _manifest(hub, repository, commit)
        with atomic_folder(out) as folder:
            hub.HfApi().snapshot_download(
                repository, revision=commit, local_dir=folder, allow_patterns=_patterns(manifest)
            )
            shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's notes on what it downloaded
            _check(folder, repository, public_key)
    return Bundle.open(out)


def _check(folder: Path, repository: str, public_key: Path | None) -> None:
    """Hashes, and the signature where a key is given; errors speak of the repository, not of a temporary folder."""
    try:
        Bundle.open(folder).check_files()
        if public_key is not None:
            signature.verify(folder, public_key)
    except (InputError, VerdictError) as error:
        raise type(error)(str(error).replace(str(folder), repository)) from None


def _manifest(hub: Any, repository: str, commit: str) -> Manifest:
    """The manifest alone: it says which of a repository's files are the bundle's."""
    with tempfile.TemporaryDirectory() as place:
        try:
            manifest = read_manifest(
                Path(hub.HfApi().hf_hub_download(repository, MANIFEST, revision=commit, local_dir=place))
            )
        except hub.errors.RemoteEntryNotFoundError:
            raise InputError(f"{repository} is no bundle: it has no {MANIFEST}") from None
        except InputError as error:
            raise InputError(str(error).replace(str(Path(place, MANIFEST)), f"{MANIFEST} of {repository}")) from None
    for name in manifest.files:
        if not inside(name):
            raise InputError(f"{repository}: {name} points outside the bundle")
    return manifest


def _patterns(manifest: Manifest) -> list[str]:
    """The bundle's own files, as the patterns that the hub's library wants."""
    return [escape(name) for name in (*manifest.files, MANIFEST, signature.FILE)]


@contextmanager
def _hub(repository: str) -> Iterator[Any]:
    """The hub's library; its errors become ours, in one line."""
    try:
        import huggingface_hub
        from huggingface_hub import constants, errors
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise missing_package("huggingface_hub", "hub", "the Hugging Face hub") from None
    if not sys.stderr.isatty():
        disable_progress_bars()  # a log would get a line for each refresh
    rights = "the token comes from HF_TOKEN or `hf auth login`"
    where = constants.ENDPOINT
    try:
        yield huggingface_hub
    except errors.RevisionNotFoundError:
        raise InputError(f"{repository} has no such revision on {where}") from None
    except errors.RepositoryNotFoundError:
        raise InputError(f"no {repository} on {where}, or no right to see it; {rights}") from None
    except errors.HFValidationError as error:
        raise InputError(f"'{repository}' is no repository's name: {first_line(error)}") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise InputError(f"{where} refuses {repository} ({status}): no right to do that; {rights}") from None
        raise EnvironmentProblem(f"{where} answers {status}: {error.server_message or first_line(error)}") from None
    except (errors.HTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise EnvironmentProblem(f"cannot reach {where}: {first_line(error)}") from None
