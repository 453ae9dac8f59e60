"""From text to what search compares: words without endings, abbreviations written out, words that mean the same.

Nothing here knows tools or ranks. Both what is searched and what is asked goes through the same functions, so an odd
stem harms nobody: it only has to be the same on both sides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

KEPT_WORDS = 16_384  # whose terms are remembered; the vocabulary of some thousand tools
LONGEST_TERM = 40  # characters; what is longer is a key or a hash, and nobody types it

_RUN = re.compile(r"[^\W_]+")  # letters and digits that stand together
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # getUserByID2 -> get User By ID 2
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # scripts that write words without spaces

# Words that say nothing about a tool. A question is full of them.
_EMPTY = """
a about am an and any are as at be been by can could did do does for from had has have how i if in into is it its
just let like me my need of on or our please should so some than that the their them then there these they this those
to us want was we were what when where which who whose why will with would you your
"""
EMPTY = frozenset(_EMPTY.split())

# Written out wherever they occur: the short form, then the long one.
_ABBREVIATIONS = """
app application
args argument
config configuration
configs configuration
db database
dbs database
dir directory
dirs directory
dm direct message
dms direct message
doc document
docs document
env environment
fs file system
img image
info information
k8s kubernetes
kube kubernetes
mkdir create directory
mr merge request
mrs merge request
msg message
msgs message
ns namespace
org organization
param parameter
params parameter
pr pull request
prs pull request
ps processes
repo repository
repos repository
rm remove
svc service
temp temperature
tz timezone
"""
ABBREVIATIONS = {short: tuple(long) for short, *long in map(str.split, _ABBREVIATIONS.strip().splitlines())}

# Words that only look as if they had an ending.
WHOLE = frozenset({"news"})

# Groups of words that are asked for one another. Not transitive: a word may stand in several.
_SYNONYMS = """
delete remove erase drop destroy trash discard
delete remove close cancel
list show display view enumerate browse
get fetch retrieve read show obtain view
read open cat load content
get download
search find query lookup look locate grep discover
query ask
create make new generate
create add insert
create open
create write
write save store put
update edit modify change alter patch set adjust
rename move
move transition
switch change checkout select toggle
turn set adjust
copy duplicate clone fork
send post publish write deliver
reply respond answer
comment reply note
run execute invoke call evaluate trigger
start launch begin boot run
stop halt terminate end kill shutdown
restart reboot rollout
install setup deploy
scale replica
merge combine join
undo revert reset rollback restore discard
compare diff difference
change diff modify
convert translate transform
schedule plan book arrange
file document
directory folder
directory path
repository project
issue ticket bug task story
task todo reminder
status state condition
state transition status
email mail message inbox
message chat direct post
channel room
contact person people attendee
user person people member account profile
assign assignee owner
alert warning
filter rule
forget delete
done complete finish resolve close
error exception failure fail crash problem bug
new latest newest recent last
permission access share role
event meeting appointment calendar
free available availability busy slot
time date clock hour
timezone zone
weather forecast temperature warm hot cold rain
far distance away
near nearby local around
place location address
song track music audio
play playback
web internet online google
buy purchase order payment pay
cost price
slow performance latency duration
big large size
table schema column
database sql table
row record entry
commit checkin
history log
log output
stage add index
screenshot capture picture snapshot
image picture photo
url link page website web site
navigate visit open browse goto
click press tap push
type fill enter input
scroll swipe
folder label
label tag
pod container
container docker
kubernetes cluster
node machine
node entity
memory knowledge remember recall
remember store save memory
authenticate login authorization signin auth
number count amount
count total sum
summary summarize overview
sprint iteration
pipeline workflow action build ci
release version
embed embedding
install installation
describe description detail explain information
detail information metadata
size space
"""


def fold(text: str) -> str:
    """Without accents and compatibility forms, so that what looks alike is alike. Case stays."""
    if text.isascii():
        return text
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return unicodedata.normalize("NFC", plain)


def terms(text: str) -> list[str]:
    """The terms of a text in its order, empty words left out."""
    return [term for word in _RUN.findall(fold(text).casefold()) for term in terms_of(word)]


def name_terms(name: str) -> tuple[list[str], list[str]]:
    """The terms of an identifier, cut at separators, capitals and digits; and those of its runs that were cut, whole.

    `GitHub` is asked for as `github`, so the whole has to be found as well; but it is no further thing that is said.
    """
    parts: list[str] = []
    wholes: list[str] = []
    for word, whole in _cut(name):
        (wholes if whole else parts).extend(terms_of(word))
    return parts, wholes


def query_terms(query: str) -> dict[str, str]:
    """The terms of a question in its order, each with the word it comes from."""
    return {term: word for word, _ in _cut(query) for term in terms_of(word)}


@lru_cache(maxsize=KEPT_WORDS)
def terms_of(word: str) -> tuple[str, ...]:
    """What one word, in lower case, is compared as. Nothing for an empty word or a single letter."""
    if word in EMPTY or len(word) > LONGEST_TERM:
        return ()
    if written_out := ABBREVIATIONS.get(word):
        return tuple(map(stem, written_out))
    if _UNSPACED.search(word):
        return tuple(word[at : at + 2] for at in range(max(1, len(word) - 1)))
    return (stem(word),) if len(word) > 1 else ()


def stem(word: str) -> str:
    """Without the endings that say nothing: plural, -ing, -ed, -ion after t or s, a last e, a doubled letter."""
    if word in WHOLE:
        return word
    if len(word) > 2 and word[-1] == "s" and word[-2] not in "sui":
        word = word[:-1]
    for ending, least in (("ing", 3), ("ed", 3), ("ion", 5)):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= least and _has_vowel(rest) and (ending != "ion" or rest[-1] in "ts"):
            word = rest
            break
    if len(word) > 3 and word[-1] == "e":
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 2 and word[-1] == "y" else word


def _cut(name: str) -> Iterator[tuple[str, bool]]:
    """The words of an identifier in lower case, and whether each is a run that was cut, whole."""
    for run in _RUN.findall(fold(name)):
        pieces = [piece for piece in _PIECE.findall(run) if len(piece) > 1] if run.isascii() else []
        if len(pieces) > 1:
            yield from ((piece.lower(), False) for piece in pieces)
        yield run.casefold(), len(pieces) > 1


def _has_vowel(word: str) -> bool:
    return any(letter in "aeiouy" for letter in word)


def _by_stem() -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for line in _SYNONYMS.strip().splitlines():
        group = [term for word in line.split() for term in terms_of(word)]
        for term in group:
            found.setdefault(term, set()).update(group)
    return {term: tuple(sorted(others - {term})) for term, others in found.items()}


ALIKE = _by_stem()  # from a term to those that mean the same
