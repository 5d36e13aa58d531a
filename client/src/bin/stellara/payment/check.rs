//! The contract's bounds, checked before a payment is sent: a wrong file is found out at once.
//!
//! The cluster checks again and has the last word.

use stellar_strkey::Strkey;
use stellara_client::ClientError;
use stellara_client::api::SubmitPaymentRequest;
use stellara_client::api::memo::Memo as Kind;

const KEY_BYTES_MAX: usize = 128;
const REFERENCE_BYTES_MAX: usize = 1_024;
const MEMO_TEXT_BYTES_MAX: usize = 28;
/// One billion, in units of the seventh decimal.
const AMOUNT_MAX: u64 = 10_000_000_000_000_000;
const DECIMALS: usize = 7;

/// The first field out of its form or bounds.
pub fn payment(payment: &SubmitPaymentRequest) -> Result<(), ClientError> {
    let key = &payment.idempotency_key;
    if key.len() > KEY_BYTES_MAX {
        return Err(wrong("idempotency_key", key, "at most 128 bytes"));
    }
    if !is_destination(&payment.destination) {
        let expected = "an account G... or M..., with its checksum";
        return Err(wrong("destination", &payment.destination, expected));
    }
    if !is_asset(&payment.asset) {
        let expected = "native, or CODE:ISSUER with a code of 1 to 12 letters and digits";
        return Err(wrong("asset", &payment.asset, expected));
    }
    if !is_amount(&payment.amount) {
        let expected = "a decimal number above 0 and up to 1000000000, with at most 7 decimals";
        return Err(wrong("amount", &payment.amount, expected));
    }
    if !payment.treasury.is_empty() && !is_account(&payment.treasury) {
        let expected = "an account G..., with its checksum";
        return Err(wrong("treasury", &payment.treasury, expected));
    }
    match payment.memo.as_ref().and_then(|memo| memo.memo.as_ref()) {
        Some(Kind::Text(text)) if text.len() > MEMO_TEXT_BYTES_MAX => {
            return Err(wrong("memo_text", text, "at most 28 bytes"));
        }
        Some(Kind::Hash(hash)) if !is_hash(hash) => {
            return Err(wrong("memo_hash", hash, "64 hexadecimal digits"));
        }
        Some(Kind::ReturnHash(hash)) if !is_hash(hash) => {
            return Err(wrong("memo_return", hash, "64 hexadecimal digits"));
        }
        Some(Kind::Text(_) | Kind::Id(_) | Kind::Hash(_) | Kind::ReturnHash(_)) | None => {}
    }
    if payment.reference.len() > REFERENCE_BYTES_MAX {
        return Err(wrong("reference", &payment.reference, "at most 1024 bytes"));
    }
    Ok(())
}

pub fn wrong(field: &str, value: &str, expected: &str) -> ClientError {
    const SHOWN_MAX: usize = 80;
    let mut shown: String = value.chars().take(SHOWN_MAX).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    ClientError::InvalidField {
        field: field.into(),
        value: shown,
        expected: expected.into(),
    }
}

fn is_account(text: &str) -> bool {
    matches!(Strkey::from_string(text), Ok(Strkey::PublicKeyEd25519(_)))
}

fn is_destination(text: &str) -> bool {
    matches!(
        Strkey::from_string(text),
        Ok(Strkey::PublicKeyEd25519(_) | Strkey::MuxedAccountEd25519(_))
    )
}

fn is_asset(text: &str) -> bool {
    if text == "native" {
        return true;
    }
    text.split_once(':').is_some_and(|(code, issuer)| {
        (1..=12).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_alphanumeric())
            && is_account(issuer)
    })
}

fn is_amount(text: &str) -> bool {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS || whole.len() > 10 {
        return false;
    }
    let units: Result<u64, _> = format!("{whole}{decimals:0<DECIMALS$}").parse();
    units.is_ok_and(|units| (1..=AMOUNT_MAX).contains(&units))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use stellara_client::api::Memo;

    use super::*;

    const ACCOUNT: &str = "GBRPYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H";

    fn valid() -> SubmitPaymentRequest {
        SubmitPaymentRequest {
            destination: ACCOUNT.into(),
            asset: "native".into(),
            amount: "12.5".into(),
            ..SubmitPaymentRequest::default()
        }
    }

    /// The field at fault after a change to a valid payment.
    fn check(change: impl FnOnce(&mut SubmitPaymentRequest)) -> String {
        let mut changed = valid();
        change(&mut changed);
        match payment(&changed) {
            Ok(()) => "ok".into(),
            Err(ClientError::InvalidField { field, .. }) => field,
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn amounts() {
        for good in ["1", "0.0000001", "1000000000", "1000000000.0", "007.50"] {
            assert_eq!(check(|p| p.amount = good.into()), "ok", "{good}");
        }
        for bad in [
            "",
            "0",
            "0.0",
            "-1",
            "1e3",
            ".5",
            "1.",
            "1.23456789",
            "1000000000.0000001",
            "1,5",
            "99999999999999999999",
        ] {
            assert_eq!(check(|p| p.amount = bad.into()), "amount", "{bad}");
        }
    }

    #[test]
    fn accounts_and_assets() {
        assert_eq!(check(|_| {}), "ok");
        assert_eq!(check(|p| p.asset = format!("USDC:{ACCOUNT}")), "ok");
        for bad in ["", "xlm", "USDC", "USDC:", ":x", "TOOLONGFORACODE:x"] {
            assert_eq!(check(|p| p.asset = bad.into()), "asset", "{bad}");
        }
        assert_eq!(check(|p| p.asset = format!("US-D:{ACCOUNT}")), "asset");
        let mistyped = ACCOUNT.replace("GBRP", "GBRQ");
        assert_eq!(check(|p| p.destination = mistyped.clone()), "destination");
        assert_eq!(check(|p| p.treasury = mistyped.clone()), "treasury");
        assert_eq!(check(|p| p.treasury = ACCOUNT.into()), "ok");
    }

    #[test]
    fn texts() {
        let memo = |kind| Some(Memo { memo: Some(kind) });
        let text = |len: usize| Kind::Text("x".repeat(len));
        assert_eq!(check(|p| p.memo = memo(text(28))), "ok");
        assert_eq!(check(|p| p.memo = memo(text(29))), "memo_text");
        let hash = Kind::Hash("0g".repeat(32));
        assert_eq!(check(|p| p.memo = memo(hash)), "memo_hash");
        let hash = Kind::ReturnHash("0f".repeat(32));
        assert_eq!(check(|p| p.memo = memo(hash)), "ok");
        assert_eq!(check(|p| p.reference = "x".repeat(1_025)), "reference");
        let key = "x".repeat(129);
        assert_eq!(check(|p| p.idempotency_key = key), "idempotency_key");
    }
}
