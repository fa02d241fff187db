"""Words that the speaking voices sing and rap: everyday words of ten languages, written for this project."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "en-us": "love night fire you me heart stay run light burning river tonight never down away dream gold rain home "
    "walking city shine hold alone forever morning baby break the wall feel it slow dancing higher moon summer time",
    "en-gb": "blue window paper thunder silver shadow kingdom follow breathe wonder sing along beneath a quiet street "
    "falling winter garden ocean answer tell them why we cannot sleep",
    "en-gb-scotland": "road and water stone bird over the hill carry me back old friend candle harbour wild",
    "es": "corazón noche luna mi amor camino fuego cielo baila conmigo siempre mañana agua sol vida tierra no me dejes",
    "fr-fr": "nuit soleil toujours mon cœur chanter la pluie sous le vent lumière encore jamais doucement rêve partir",
    "de": "Herz Nacht Feuer Sonne immer wieder leuchten Straße frei mit dir fliegen Schatten Wasser bleib hier Zeit",
    "it": "cuore notte sole amore mare vento cantare sempre dove vai stella bella mondo voglio volare ancora",
    "pt-br": "coração saudade noite mar você dançar comigo chuva estrela vida amanhã voltar sorriso cidade",
    "sv": "hjärta natt himmel vind sommar drömmar kom tillbaka hav stjärna alltid",
    "pl": "serce noc gwiazda miłość deszcz droga zawsze razem światło śpiewaj",
    "tr": "gece yıldız kalp güneş deniz rüzgar sevgi yol gel bana",
    "fi": "sydän yö tähti aurinko meri tuuli laula kanssani aina",
    "sw": "moyo usiku nyota jua bahari upepo imba nami daima",
    "id": "hati malam bintang matahari laut angin nyanyi bersama selalu",
}
VARIANTS: Final = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3", "klatt6",
    "Alex", "Alicia", "Andrea", "Annie", "adam", "anika", "aunty", "belinda", "benjamin", "boris", "caleb", "david",
    "edward", "linda", "Lee", "Marco", "Mario", "max", "michael", "norbert", "paul", "quincy", "rob", "steph", "travis",
    "victor", "zac", "Denis", "Hugo", "Jacky", "Michael", "Mike", "shelby", "iven", "john", "marcelo", "miguel",
)  # fmt: skip
