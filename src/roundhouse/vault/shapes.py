"""What looks like a secret: by the name it goes under, or by itself. Pure.

It errs on the side of taking something for a secret. In an entry that costs nothing: what was taken is filled in again
when the server starts.
"""

from __future__ import annotations

import math
import re
from collections import Counter

LEAST_RANDOM = 24  # characters; shorter random strings cannot be told from identifiers
LEAST_KNOWN = 18  # letters, digits, '_' and '-' in a row that each secret with a prefix of its issuer's has
RANDOMNESS = 3.5  # bits a character; 24 random letters and digits have 4 and more, a name of words less
WORDLINESS = 0.5  # of the characters in runs of three small letters and more; random ones have 0.2

# Each begins as its issuer made it to begin, so that tools like this one can know it.
_KNOWN = "|".join(
    (
        r"sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, DeepSeek, OpenRouter
        r"gh[oprsu]_[A-Za-z0-9]{20,}",
        r"github_pat_[A-Za-z0-9_]{20,}",
        r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt)-[A-Za-z0-9_.-]{16,}",
        r"xox[abeoprs]-[A-Za-z0-9-]{14,}",
        r"xapp-[A-Za-z0-9-]{16,}",
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
        r"AIza[A-Za-z0-9_-]{30,}",
        r"ya29\.[A-Za-z0-9_.-]{20,}",
        r"eyJ[A-Za-z0-9_-]{15,1000}+\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",  # JWT
        r"hf_[A-Za-z0-9]{20,}",
        r"npm_[A-Za-z0-9]{30,}",
        r"pypi-[A-Za-z0-9_-]{30,}",
        r"SG\.[A-Za-z0-9_-]{18,100}+\.[A-Za-z0-9_-]{18,}",
        r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{16,}",
        r"lin_(?:api|oauth)_[A-Za-z0-9]{20,}",
        r"[prs]k_(?:live|test)_[A-Za-z0-9]{10,}",
        r"whsec_[A-Za-z0-9+/=]{16,}",
        r"(?:ntn|secret)_[A-Za-z0-9]{30,}",  # Notion
        r"figd_[A-Za-z0-9_-]{20,}",
        r"gsk_[A-Za-z0-9]{20,}",
        r"xai-[A-Za-z0-9]{20,}",
        r"pplx-[A-Za-z0-9]{20,}",
        r"tvly-[A-Za-z0-9_-]{16,}",
        r"fc-[a-f0-9]{24,}",  # Firecrawl
        r"r8_[A-Za-z0-9]{20,}",
        r"sbp_[a-f0-9]{20,}",
        r"sntr(?:ys|yu)_[A-Za-z0-9_=+/-]{20,}",
        r"do[opr]_v1_[a-f0-9]{20,}",
        r"dckr_pat_[A-Za-z0-9_-]{16,}",
        r"dapi[a-f0-9]{30,}",
        r"hvs\.[A-Za-z0-9_-]{20,}",
        r"nfp_[A-Za-z0-9]{20,}",
        r"PMAK-[A-Za-z0-9-]{20,}",
        r"ATATT3[A-Za-z0-9_=-]{20,}",
        r"AGE-SECRET-KEY-1[A-Z0-9]{20,}",
        r"[0-9]{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",  # Telegram
    )
)
KNOWN = rf"(?<![A-Za-z0-9])(?:{_KNOWN})"
_LABEL = r"[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
PRIVATE_KEY = rf"-----BEGIN {_LABEL}(?:(?:[^-]|-(?!----))*-----END {_LABEL})?"
_BY_ITSELF = re.compile(f"{PRIVATE_KEY}|{KNOWN}")

_RUN = re.compile(rf"[A-Za-z0-9_+~.%/-]{{{LEAST_RANDOM},}}={{0,2}}")
_SEGMENT = re.compile(rf"[A-Za-z0-9_+~.%-]{{{LEAST_RANDOM},}}={{0,2}}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_WORDS_OF_RUN = re.compile(r"[A-Z]?[a-z]{3,}")
_CLASSES = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"))

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# What a word of a name has to be. Anywhere in it:
_PASSWORD = re.compile(r"PASSWORDS?|PASSWD|PASSPHRASE|PASS|PWD|SECRETS?")
_TELLING_END = re.compile(r".*(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|APIKEY|ACCESSKEY|SECRETKEY|PRIVATEKEY)")
_TELLING = re.compile(r"TOKENS|PAT|AUTHORIZATION|COOKIES?|CREDENTIALS?|CREDS?|DSN|JWT|BEARER|SIGNATURE|SIG")
# Its end: a KEY_FILE, an AUTH_PROVIDER or a SESSION_BUS is none.
_TELLING_LAST = re.compile(r"KEYS?|AUTH|PRIVATE|SESSION|SAS")
_TELLING_PAIR = re.compile(r"SECRET ID|SESSION ID|API HASH|SEED PHRASE")
_PASSWORD_LAST = re.compile(r"PW|PSK|MNEMONIC")
_SERVICE_ROLE = re.compile(r"(?:.* )?SERVICE ROLE(?: .*)?")  # Supabase's key that may do anything
_CONNECTION = re.compile(r"(?:.* )?(?:DSN|CONNECTION ?STRING|CONN ?STR)")
_OPEN_KEY = re.compile(r"PUBLIC|PRIMARY|FOREIGN|SORT|PARTITION")
# Its end, where what it names is not the secret, but about it:
_ABOUT = re.compile(
    r"FILE|FILENAME|PATH|DIR|DIRECTORY|FOLDER|URL|URI|HOST|HOSTNAME|PORT|ENDPOINT|SERVER|NAME|ID|TYPE|MODE|METHOD|SCHEME"
    r"|PROVIDER|LIMIT|COUNT|LENGTH|SIZE|TTL|AGE|EXPIRY|EXPIRATION|EXPIRES|TIMEOUT|ENABLED|DISABLED|REQUIRED|ALGORITHM"
    r"|FORMAT|PREFIX|VERSION|STORE|SCOPES?|AUDIENCE|ISSUER|USER|USERNAME|EMAIL|REGION|SOCK|STDIN|ARN"
    r"|COMMAND|CMD|PROGRAM|SCRIPT|HELPER|EXEC|HOOK|MODULE|PACKAGE|PLUGIN|IMAGE"  # what it runs is to be read
)
_FINGERPRINT = re.compile(r"SHA|SHA[0-9]+|COMMIT|REVISION|REV|REF|HASH|DIGEST|CHECKSUM|FINGERPRINT|ETAG|UUID|GUID")
_SWITCH = re.compile(r"NO|DISABLE|SKIP|WITHOUT|USE|ENABLE|REQUIRE|ALLOW")
# What a value may be that is none:
_NOTHING = re.compile(r"(?i:true|false|yes|no|on|off|none|null|nil|undefined)")
_SCHEME = re.compile(
    r"(?i:auto|default|basic|bearer|digest|oauth2?|oidc|sso|iam|jwt|token|api[_-]?key|header|cookie|query)"
)
_SHORT_NUMBER = re.compile(r"[0-9]{1,6}")
_PIN = re.compile(r"[0-9]{4,12}")  # of a GPIO too, but those have two digits
_HEX = re.compile(r"(?:0x)?(?=[0-9]*[A-Fa-f])(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{32,}")
_LABEL_OF_WORDS = re.compile(r"(?:[a-z]{1,12}-)+[a-z]{1,12}")
_JOINT = re.compile(r"[-./:@_]")
_FILE = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?[/\\](?:[\w.@ -]+[/\\])*[\w.@ -]*")
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_]\w*(?::[-=?+][^{}]*)?\}|\{\{[^{}]*\}\}")


def known(text: str) -> list[tuple[int, int]]:
    """Where in a text stand secrets that begin as their issuer's do, and private keys."""
    return [found.span() for found in _BY_ITSELF.finditer(text)]


def random(text: str) -> list[tuple[int, int]]:
    """Where in a text stand long random strings."""
    return [span for run in _RUN.finditer(text) for span in _random_in(run)]


def marked(text: str) -> list[tuple[int, int]]:
    """As `known`, without names that only begin like a secret: `sk-learn-tools-server`."""
    return [(start, end) for start, end in known(text) if not _LABEL_OF_WORDS.fullmatch(text, start, end)]


def is_hexadecimal(name: str, value: str) -> bool:
    """Whether a variable is a long hexadecimal number and, by its name, not the digest or the number of something."""
    last = _words(name)[-1:]
    return bool(_HEX.fullmatch(value)) and not any(_ABOUT.fullmatch(w) or _FINGERPRINT.fullmatch(w) for w in last)


def reads_as_name(text: str) -> bool:
    """Whether it may be the name of something to run: a package, an image, a file, words with joints between them."""
    return bool(_JOINT.search(text)) and _in_words(text) >= WORDLINESS * len(text)


def is_telling(name: str) -> bool:
    """Whether what goes under this name, of a variable, a flag, a header or a member, is likely a secret."""
    return _strength(_words(name)) > 0


def is_secret(name: str, value: str) -> bool:
    """Whether this value under this name is likely a secret, and not a switch, a number, a path or a placeholder."""
    words = _words(name)
    strength = _strength(words)
    bare = value.strip()
    if not strength or not bare or _NOTHING.fullmatch(bare) or _PLACEHOLDER.fullmatch(bare):
        return False
    if words[-1] == "PIN":
        return bool(_PIN.fullmatch(bare))
    if _PASSWORD_LAST.fullmatch(words[-1]) or any(_PASSWORD.fullmatch(word) for word in words):
        return True
    if _SCHEME.fullmatch(bare) or _SHORT_NUMBER.fullmatch(bare):
        return False
    return strength > 1 or not _is_path(bare)


def is_certain(name: str) -> bool:
    """Whether what goes under this name is a secret even where it does not look like one."""
    return _strength(_words(name)) > 1


def is_connection(name: str) -> bool:
    """Whether what goes under this name says how to reach something, a password being a part of it."""
    return bool(_CONNECTION.fullmatch(" ".join(_words(name))))


def is_switch(flag: str) -> bool:
    """Whether a flag takes no value, by its name: `--no-auth`."""
    return any(_SWITCH.fullmatch(word) for word in _words(flag)[:1])


def is_word(text: str) -> bool:
    """Whether it is a plain word or number, as it stands in many texts that have nothing to do with it."""
    return bool(re.fullmatch(r"[A-Z]?[a-z]{1,11}|[A-Z]{1,12}|[0-9]{1,6}", text))


def _words(name: str) -> list[str]:
    return [word.upper() for word in _WORD.findall(name)]


def _strength(words: list[str]) -> int:
    """0: no secret's name. 1: one, unless the value is a path. 2: one."""
    if not words or words in (["PWD"], ["OLDPWD"]):
        return 0
    last = words[-1]
    if _TELLING_PAIR.fullmatch(" ".join(words[-2:])) or _CONNECTION.fullmatch(" ".join(words)):
        return 2
    if _ABOUT.fullmatch(last):
        return 0
    if _PASSWORD_LAST.fullmatch(last) or any(_PASSWORD.fullmatch(w) or _TELLING_END.fullmatch(w) for w in words):
        return 2
    if last == "PIN" or any(_TELLING.fullmatch(word) for word in words) or _SERVICE_ROLE.fullmatch(" ".join(words)):
        return 1
    return int(bool(_TELLING_LAST.fullmatch(last)) and not any(_OPEN_KEY.fullmatch(word) for word in words))


def _is_path(text: str) -> bool:
    """Whether it names a file, and nothing in it looks random."""
    return bool(_FILE.fullmatch(text)) and not random(text)


def _random_in(run: re.Match[str]) -> list[tuple[int, int]]:
    start, end = run.span()
    if "/" not in run.group() or (_BASE64.fullmatch(run.group()) and _is_random(run.group())):
        return [(start, end)] if _is_random(run.group()) else []
    return [part.span() for part in _SEGMENT.finditer(run.string, start, end) if _is_random(part.group())]


def _is_random(text: str) -> bool:
    if not all(kind.search(text) for kind in _CLASSES) or _UUID.fullmatch(text):
        return False
    return _in_words(text) < WORDLINESS * len(text) and _bits(text) >= RANDOMNESS


def _in_words(text: str) -> int:
    return sum(len(word) for word in _WORDS_OF_RUN.findall(text))


def _bits(text: str) -> float:
    """Shannon's entropy of its characters, per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
