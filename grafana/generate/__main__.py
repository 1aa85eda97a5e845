"""Writes grafana/dashboards/*.json and grafana/playlist.json: `python -m grafana.generate`. Deletes none."""

from pathlib import Path

from grafana.generate.files import FOLDER, files


def main() -> None:
    for name, text in files().items():
        path = Path(FOLDER, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
