"""Band: multi-track songs with drums and bass."""

from __future__ import annotations

from pathlib import Path

from symusic import Score

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Item, existing, read_item, read_table

TABLE = "band_core.csv"

#: Words of the folders, All Music Guide, tagtraum and Last.fm labels that name a genre. Others (sites, artists, years,
#: opinions) are dropped.
GENRES = {
    "rock": "rock", "pop": "pop", "country": "country", "rap_hip_hop": "hip hop", "rnb_soul": "soul",
    "karaoke-pop": "pop", "web-archive:irishmidifiles": "irish folk", "game": "video game", "pop_rock": "pop rock",
    "electronic": "electronic", "rnb": "r&b", "latin": "latin", "rap": "hip hop", "jazz": "jazz", "reggae": "reggae",
    "international": "world", "new-age": "new age", "folk": "folk", "metal": "metal", "punk": "punk", "blues": "blues",
    "alternative": "alternative", "dance": "dance", "indie": "indie", "soul": "soul", "soundtrack": "soundtrack",
    "hip-hop": "hip hop", "electronica": "electronic", "funk": "funk", "lounge": "lounge", "electro": "electronic",
    "techno": "techno", "house": "house", "trance": "trance", "ambient": "ambient", "psychedelic": "psychedelic",
    "oldies": "oldies",
}  # fmt: skip
MOODS = {
    "mellow": "mellow", "happy": "happy", "sad": "sad", "melancholy": "melancholy", "chill": "relaxed",
    "chillout": "relaxed", "relax": "relaxed", "fun": "fun", "party": "party",
}  # fmt: skip


class Band(Dataset):
    """8,539 multi-track songs (521 hours, 44.7 M notes), every one in 4/4 with drums and bass, from public MIDI
    collections; a stand-in for Lakh Pianoroll. Archive: sha256 37a498cd1b094c00.

    The split is by cluster of near duplicates: 7,100 / 660 / 779.
    """

    name = "band"
    licence = "none stated for most files: local research only"
    source = "Ultimate-MIDI-Scraper, midi-archive, Tegridy-MIDI-Dataset karaoke, Freedoom, OpenMSX, Planet Blupi"
    defects = (
        "fan transcriptions of commercial songs, of very uneven quality",
        "the genre is where a site filed the song, a weak label: 5,021 lie under rock",
        "2,073 songs change tempo inside",
    )

    def recognises(self, directory: Path) -> bool:
        return (directory / TABLE).is_file()

    def items(self, root: Path) -> list[Item]:
        items = []
        for row in read_table(root / TABLE):
            labels = [row["genre_folder"]]
            for column in ("amg_genre", "tagtraum_genre", "lastfm_tags"):
                labels += row[column].lower().split("|")
            facts: dict[str, str | float | list[str]] = {"meter": "4/4"}
            for kind, words in (("genre", GENRES), ("mood", MOODS)):
                if found := list(dict.fromkeys(words[label] for label in labels if label in words)):
                    facts[kind] = found
            # The path names the song, so the id is made of the md5 of the file.
            split = SPLIT_NAMES[row["split"]]
            items.append(Item(f"band/{row['md5'][:16]}", row["id"], row["song_cluster"], split, facts))
        existing(root, items)
        return items

    def load(self, root: Path, item: Item) -> Score:
        return read_item(root, item)
