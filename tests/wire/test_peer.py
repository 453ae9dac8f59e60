"""One conversation, as far as it can be seen without a process."""

from __future__ import annotations

import asyncio

from roundhouse.wire.peer import SHOWN, Peer


def test_what_is_shown_of_rubbish_holds_no_part_of_a_secret_wherever_it_is_cut() -> None:
    secret = b"cAnArY-Qz7Lm2Rv9Tx4Kp8Wd3Ny6Hb1Fs5"

    async def shown(before: int) -> str:
        peer = Peer(
            "a",
            received=lambda message: None,
            troubled=lambda error: None,
            rubbish=lambda bad, frame, request_id: None,
            redact=lambda data: data.replace(secret, b"[secret:X]"),
        )
        peer.receive(b"x" * before + secret + b" and more")
        return peer.last_rubbish

    for before in range(SHOWN - len(secret) - 2, SHOWN + 2):
        said = asyncio.run(shown(before))
        assert secret[:4].decode() not in said
        assert said.startswith("x" * min(before, SHOWN))
