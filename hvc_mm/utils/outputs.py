"""Where a run may write: not over what it reads, nor over others' files.

Before it starts, a run checks its outputs against its inputs
(`check_outputs`) and claims them (`claim_folder`, `claim_file`). What it
writes (`listed_file`) is listed with its size in a manifest in the claimed
folder. A later run replaces the files that are listed there and have that
size. Any other file belongs to somebody else: it is kept, and the run is
refused unless it is forced.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

from mmengine.dist import broadcast_object_list, is_main_process

from .files import is_abandoned, remove_abandoned, whole_file

PathLike = Union[str, Path]

# One JSON object a line, so that a killed run's list is whole to the end.
MANIFEST = '.hvc_outputs.jsonl'


class _Entry(NamedTuple):
    """What a manifest says of a file.

    Attributes:
        size: In bytes.
        single: It was claimed by itself, not with its folder.
    """

    size: int
    single: bool


def check_outputs(
    outputs: Iterable[PathLike], inputs: Iterable[PathLike]
) -> None:
    """Refuse outputs that are, contain or lie in what a run reads.

    Links are resolved, those to folders inside an output too. What exists
    is compared by its identity, not by its name, so that ``Masks`` and
    ``masks`` are one where the file system says so.

    Args:
        outputs: Files and folders that the run will write.
        inputs: Files and folders that it reads; what isn't there (a URL)
            is left out.

    Raises:
        ValueError: With both paths.
    """
    read, above = {}, {}
    for path in inputs:
        real = Path(os.path.realpath(path))
        if os.path.exists(path):
            read.setdefault(_identity(real), path)
            for parent in real.parents:
                above.setdefault(_identity(parent), path)
    for output in outputs:
        for place in (output, *_linked_folders(output)):
            real = Path(os.path.realpath(place))
            parents = (read.get(_identity(parent)) for parent in real.parents)
            for relation, found in (
                ('is', read.get(_identity(real))),
                ('is in', next(filter(None, parents), None)),
                ('contains', above.get(_identity(real))),
            ):
                if found is not None:
                    raise ValueError(
                        f'the output {place} {relation} {found}, which this '
                        'run reads; expected a place of its own'
                    )


def claim_folder(folder: PathLike, force: bool = False) -> None:
    """Make a folder ready for a run's files; remove an earlier run's.

    Files that were claimed by themselves, or with a folder below, stay.

    Args:
        folder: Is made where it is missing.
        force: Keep other files that are there, and write over those of
            equal names.

    Raises:
        FileExistsError: It holds a file that no run listed, or that was
            changed since.
        NotADirectoryError: It is a file.
        OSError: It can't be written.
    """
    folder = Path(folder)
    if os.path.exists(folder) and not folder.is_dir():
        raise NotADirectoryError(f'{folder} is a file; expected a folder')
    other = None if force else _find_other(folder)
    if other is not None:
        raise FileExistsError(
            f'{folder} holds {other}, which no earlier run wrote, or which '
            'was changed since; expected a new folder, or one with nothing '
            'but results of an earlier run (--force keeps what is there and '
            'writes over files of equal names)'
        )
    _try_to_write(folder)
    remove_abandoned(folder)
    entries = _read_manifest(folder)
    singles = {name: one for name, one in entries.items() if one.single}
    for name in entries.keys() - singles.keys():
        (folder / name).unlink()
        _remove_empty(folder, (folder / name).parent)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name, entry in singles.items():
        _append(folder, name, entry)


def claim_file(path: PathLike, force: bool = False) -> None:
    """Check that a file can be written, and may be.

    An earlier one stays until the new one is complete.

    Args:
        path: The file; its folder is made.
        force: Replace whatever is there.

    Raises:
        FileExistsError: It is there, and no run listed it, or it was changed
            since.
        IsADirectoryError: It is a folder.
        OSError: It can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder; expected a file')
    listed = path.name in _read_manifest(path.parent)
    if os.path.lexists(path) and not (listed or force):
        raise FileExistsError(
            f'{path} exists already, and no earlier run wrote it, or it was '
            'changed since; move it, give another name, or use --force'
        )
    _try_to_write(path.parent)
    for name in os.listdir(path.parent):
        # A writer within a writer begins with two dots.
        mine = name.lstrip('.').startswith(f'{path.stem}.')
        if mine and is_abandoned(name):
            (path.parent / name).unlink(missing_ok=True)


@contextmanager
def listed_file(
    path: PathLike, folder: Optional[PathLike] = None
) -> Iterator[Path]:
    """Write a file as `whole_file` does, and list it.

    Args:
        path: The file.
        folder: The claimed folder that it is in; None for a file that was
            claimed by itself.

    Yields:
        Path: Where the body writes.
    """
    path = Path(path)
    home = path.parent if folder is None else Path(folder)
    with whole_file(path) as partial:
        yield partial
        # Before it is renamed: a killed run's files are all listed.
        entry = _Entry(partial.stat().st_size, single=folder is None)
        _append(home, path.relative_to(home).as_posix(), entry)


def claim_on_main_rank(claim: Callable[[], None]) -> None:
    """Let the main rank claim what all ranks write; the others wait for it.

    Raises:
        ValueError, OSError: What ``claim`` raised, on the main rank.
        RuntimeError: The same, on the others.
    """
    error = None
    if is_main_process():
        try:
            claim()
        except (ValueError, OSError) as caught:  # the others must hear of it
            error = caught
    messages = [error and str(error)]
    broadcast_object_list(messages)
    if error is not None:
        raise error
    if messages[0] is not None:
        raise RuntimeError(messages[0])


def dataset_inputs(dataset: Any) -> List[str]:
    """List the folders and files that a data set, wrapped or not, reads."""
    if hasattr(dataset, 'inputs'):
        return list(dataset.inputs)
    inner = getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)])
    found = [
        path
        for part in inner
        if part is not None
        for path in dataset_inputs(part)
    ]
    # As mmengine's BaseDataset has them.
    places = (getattr(dataset, 'data_prefix', None) or {}).values()
    places = [getattr(dataset, 'ann_file', None), *places]
    return found + [path for path in places if isinstance(path, str) and path]


def _append(folder: Path, name: str, entry: _Entry) -> None:
    line = json.dumps({'name': name, **entry._asdict()})
    with open(folder / MANIFEST, 'a', encoding='utf-8') as file:
        file.write(f'{line}\n')


def _read_manifest(folder: Path) -> Dict[str, _Entry]:
    """Read which files of earlier runs are in a folder as they were listed.

    A manifest may be cut off by a kill, or not be ours at all: what makes no
    sense is left out, and names that lead out of the folder are.
    """
    found = {}
    try:
        lines = (folder / MANIFEST).read_text('utf-8', 'replace').splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            fields = json.loads(line)
            name = fields['name']
            entry = _Entry(fields['size'], fields['single'])
            if _is_as_listed(folder, name, entry):
                found[name] = entry
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _is_as_listed(folder: Path, name: str, entry: _Entry) -> bool:
    path = folder / name
    real = Path(os.path.realpath(path.parent), path.name)
    return (
        Path(os.path.realpath(folder)) in real.parents
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size == entry.size
    )


def _find_other(folder: Path) -> Optional[Path]:
    """Find a file, or a link to a folder, that no run listed."""
    known = set()
    for root, folders, names in os.walk(folder):
        here = Path(root)
        known.update(here / name for name in _read_manifest(here))
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*names, *links):
            if not (
                name == MANIFEST or here / name in known or is_abandoned(name)
            ):
                return here / name
    return None


def _linked_folders(folder: PathLike, depth: int = 2) -> Iterator[Path]:
    # Runs write no deeper than that; all of a home folder would take long.
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        if entry.is_symlink() and entry.is_dir():
            yield Path(entry)
        elif depth > 1 and entry.is_dir():
            yield from _linked_folders(entry.path, depth - 1)


def _identity(path: Path) -> Optional[Tuple[int, int]]:
    try:
        status = os.stat(path)
    except OSError:
        return None  # not there yet
    return status.st_dev, status.st_ino


def _remove_empty(root: Path, folder: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _try_to_write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
