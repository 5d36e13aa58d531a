"""Checks signed envelopes with another implementation of the protocol.

Reads lines of `stellara-sim envelopes` from standard input. Every envelope is parsed, hashed, verified and encoded
again with Python's stellar-sdk, and compared with what its line says it should be. The first line that differs ends
the run with exit code 1; so does a change of the first line that goes unnoticed, and a run of at least --shapes-from
lines that lacks one of SHAPES.
"""

import argparse
import base64
import collections
import decimal
import json
import re
import sys

from stellar_sdk import (
    FeeBumpTransactionEnvelope,
    HashMemo,
    IdMemo,
    Keypair,
    MuxedAccount,
    NoneMemo,
    Payment,
    ReturnHashMemo,
    TextMemo,
    TransactionEnvelope,
)

FIELDS = [
    "passphrase",
    "inner_xdr",
    "fee_bump_xdr",
    "inner_hash",
    "fee_bump_hash",
    "channel",
    "treasury",
    "fee_account",
    "operations",
    "memo",
    "fee_stroops",
]
OPERATION_FIELDS = ["destination", "asset", "amount_stroops"]
EXACT_MAX = 2**53
SEED = re.compile(r"\bS[A-Z2-7]{55}\b")
SHAPES = [
    "1 operation",
    "100 operations",
    "asset native",
    "asset of 4 letters",
    "asset of 12 letters",
    "receiver G",
    "receiver M",
    "memo none",
    "memo text",
    "memo id",
    "memo hash",
    "memo return",
    "channel is treasury",
    "channel is not treasury",
    "bumped again",
]


class Differs(Exception):
    """What an envelope is, beside what it should be."""


def equal(what, found, expected):
    if found != expected:
        raise Differs(f"{what} is {found!r}, expected {expected!r}")


def number(what, shown):
    """A number as the lines write it: JSON's own up to 2^53, digits above."""
    if isinstance(shown, str):
        value = int(shown)
        equal(what, shown, str(value))
        if value <= EXACT_MAX:
            raise Differs(f"{what} is the text {shown!r}, expected a number up to 2^53")
        return value
    if type(shown) is not int or not 0 <= shown <= EXACT_MAX:
        raise Differs(f"{what} is {shown!r}, expected a whole number from 0 to 2^53")
    return shown


def stroops(amount):
    """An amount as the library gives it, which writes one stroop as 1E-7."""
    exact = decimal.Decimal(amount).scaleb(7)
    equal("an amount in stroops", exact, exact.to_integral_value())
    return int(exact)


def verify(what, envelope, accounts):
    """One signature of each account in order, and none more."""
    equal(f"{what}'s signatures", len(envelope.signatures), len(accounts))
    digest = envelope.hash()
    for signature, account in zip(envelope.signatures, accounts):
        pair = Keypair.from_public_key(account)
        equal(f"{what}'s hint", bytes(signature.signature_hint), pair.signature_hint())
        pair.verify(digest, signature.signature)


def memo_of(shown):
    equal("memo's fields", list(shown), ["type", "value"])
    kind, value = shown["type"], shown["value"]
    if kind == "none":
        equal("memo.value", value, None)
        return NoneMemo()
    if kind == "id":
        return IdMemo(number("memo.value", value))
    return {"text": TextMemo, "hash": HashMemo, "return": ReturnHashMemo}[kind](value)


def asset_of(asset):
    return "native" if asset.is_native() else f"{asset.code}:{asset.issuer}"


def plain(what, account, expected):
    """An account of ours is never multiplexed."""
    equal(what, (account.account_id, account.account_muxed_id), (expected, None))


def check_operations(line, transaction):
    shown, operations = line["operations"], transaction.operations
    if not 1 <= len(shown) <= 100:
        raise Differs(f"operations is {len(shown)} long, expected 1 to 100")
    equal("operations' count", len(operations), len(shown))
    for at, (said, operation) in enumerate(zip(shown, operations)):
        place = f"operations[{at}]"
        equal(f"{place}'s fields", list(said), OPERATION_FIELDS)
        if not isinstance(operation, Payment):
            raise Differs(f"{place} is a {type(operation).__name__}, expected a payment")
        plain(f"{place}'s source", operation.source, line["treasury"])
        receiver = operation.destination
        if said["destination"].startswith("M"):
            equal(f"{place}.destination", receiver.account_muxed, said["destination"])
            equal(f"{place}.destination", receiver, MuxedAccount.from_account(said["destination"]))
        else:
            equal(f"{place}.destination", receiver.account_muxed_id, None)
            equal(f"{place}.destination", receiver.account_id, said["destination"])
        equal(f"{place}.asset", asset_of(operation.asset), said["asset"])
        amount = number(f"{place}.amount_stroops", said["amount_stroops"])
        equal(f"{place}.amount_stroops", stroops(operation.amount), amount)


def check_inner(line):
    inner = TransactionEnvelope.from_xdr(line["inner_xdr"], line["passphrase"])
    transaction = inner.transaction
    equal("inner_xdr encoded again", inner.to_xdr(), line["inner_xdr"])
    equal("inner_hash", inner.hash().hex(), line["inner_hash"])
    plain("channel", transaction.source, line["channel"])
    equal("inner fee", transaction.fee, 0)
    equal("memo", transaction.memo, memo_of(line["memo"]))
    conditions = transaction.preconditions
    if not conditions.time_bounds or not conditions.time_bounds.max_time:
        raise Differs("the inner transaction has no upper bound of time")
    if not conditions.ledger_bounds or not conditions.ledger_bounds.max_ledger:
        raise Differs("the inner transaction has no upper bound of ledgers")
    check_operations(line, transaction)
    signers = [line["channel"]]
    if line["treasury"] != line["channel"]:
        signers.append(line["treasury"])
    verify("inner", inner, signers)
    return inner


def check_fee_bump(line, inner):
    outer = FeeBumpTransactionEnvelope.from_xdr(line["fee_bump_xdr"], line["passphrase"])
    transaction = outer.transaction
    equal("fee_bump_xdr encoded again", outer.to_xdr(), line["fee_bump_xdr"])
    equal("fee_bump_hash", outer.hash().hex(), line["fee_bump_hash"])
    plain("fee_account", transaction.fee_source, line["fee_account"])
    carried = transaction.inner_transaction_envelope
    equal("the carried transaction", carried.to_xdr(), inner.to_xdr())
    fee = number("fee_stroops", line["fee_stroops"])
    equal("fee_stroops", transaction.fee, fee)
    least = 100 * (len(line["operations"]) + 1)
    if fee < least:
        raise Differs(f"fee_stroops is {fee}, expected at least {least}")
    verify("fee bump", outer, [line["fee_account"]])


def shapes_of(line, previous):
    yield f"{len(line['operations'])} operation{'s'[: len(line['operations']) > 1]}"
    yield f"memo {line['memo']['type']}"
    yield f"channel is {'' if line['channel'] == line['treasury'] else 'not '}treasury"
    if previous and previous["inner_xdr"] == line["inner_xdr"]:
        yield "bumped again"
    for operation in line["operations"]:
        code, colon, _ = operation["asset"].partition(":")
        yield f"asset of {len(code)} letters" if colon else "asset native"
        yield f"receiver {operation['destination'][0]}"


def check_line(text):
    if SEED.search(text):
        raise Differs("the line shows a secret seed")
    line = json.loads(text)
    equal("fields", list(line), FIELDS)
    for name in ("inner_xdr", "fee_bump_xdr"):
        raw = base64.b64decode(line[name], validate=True)
        equal(f"{name} in base64", base64.b64encode(raw).decode(), line[name])
    check_fee_bump(line, check_inner(line))
    return line


def flipped(text):
    """XDR in base64, its last byte changed: the end of a signature."""
    raw = bytearray(base64.b64decode(text))
    raw[-1] ^= 1
    return base64.b64encode(raw).decode()


def unnoticed(text):
    """Changes of a good line that the check does not notice: there must be none."""
    line = json.loads(text)
    operation = line["operations"][0]
    other = "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF"
    changes = {
        "passphrase": "another",
        "inner_xdr": flipped(line["inner_xdr"]),
        "fee_bump_xdr": flipped(line["fee_bump_xdr"]),
        "inner_hash": line["fee_bump_hash"],
        "fee_bump_hash": line["inner_hash"],
        "channel": other,
        "treasury": other,
        "fee_account": other,
        "operations": [operation | {"amount_stroops": 77}] + line["operations"][1:],
        "memo": {"type": "text", "value": "another"},
        "fee_stroops": 77,
        "secret": "none of ours",
    }
    changed = [(name, line | {name: value}) for name, value in changes.items()]
    for name, value in (("destination", other), ("asset", f"NONE:{other}")):
        changed.append((name, line | {"operations": [operation | {name: value}] + line["operations"][1:]}))
    for name, bad in changed:
        try:
            check_line(json.dumps(bad))
        except Exception:  # Noticed, by whatever means.
            continue
        yield name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expect", type=int, help="how many lines there must be")
    parser.add_argument("--shapes-from", type=int, default=300, help="lines from which every shape must occur")
    args = parser.parse_args()
    seen, previous, count = collections.Counter(), None, 0
    for count, text in enumerate(sys.stdin, 1):
        try:
            line = check_line(text)
        except Exception as error:  # Whatever the other implementation raises is a difference, told with its line.
            print(f"line {count} differs: {type(error).__name__}: {error}\n{text.strip()}", file=sys.stderr)
            return 1
        if previous is None and (names := list(unnoticed(text))):
            print(f"line {count}: changes go unnoticed: {', '.join(names)}", file=sys.stderr)
            return 1
        seen.update(set(shapes_of(line, previous)))
        previous = line
    if args.expect is not None and count != args.expect:
        print(f"there are {count} lines, expected {args.expect}", file=sys.stderr)
        return 1
    lacking = [shape for shape in SHAPES if not seen[shape]]
    if lacking and count >= args.shapes_from:
        print(f"no line of {count} has: {', '.join(lacking)}", file=sys.stderr)
        return 1
    shapes = ", ".join(f"{shape} {seen[shape]}" for shape in SHAPES)
    print(f"{count} envelopes parse, hash, verify and encode to the same bytes; lines with {shapes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
