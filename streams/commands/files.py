"""Texts by their file names in, files in a directory out; a directory that cannot be written is named."""

from pathlib import Path

from streams.commands.frame import Failed


def written(files: dict[str, str], directory: Path) -> list[Path]:
    paths = []
    for name, text in files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Failed(f"{path} cannot be written: {error.strerror}; name another --output") from None
        paths.append(path)
    return paths
