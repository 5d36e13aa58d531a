//! Assets as text: `native`, or `CODE:ISSUER` with the issuer as a `G...` address.

use stellar_xdr::{AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode4, AssetCode12};

/// Why a text is not an asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// Neither `native` nor `CODE:ISSUER`.
    #[error("asset {0:?} is neither native nor CODE:ISSUER")]
    Form(String),
    /// The code is not 1 to 12 letters and digits.
    #[error("asset code {0:?} is not 1 to 12 ascii letters and digits")]
    Code(String),
    /// The issuer is not an account address.
    #[error("asset issuer {0:?} is not an account address (G...)")]
    Issuer(String),
}

/// The text form of an asset.
pub fn asset_name(asset: &Asset) -> String {
    match asset {
        Asset::Native => "native".to_owned(),
        Asset::CreditAlphanum4(a) => format!("{}:{}", code_text(&a.asset_code.0), a.issuer),
        Asset::CreditAlphanum12(a) => format!("{}:{}", code_text(&a.asset_code.0), a.issuer),
    }
}

/// The code and issuer of an issued asset; `None` for the native one.
pub(crate) fn code_and_issuer(asset: &Asset) -> Option<(String, &AccountId)> {
    match asset {
        Asset::Native => None,
        Asset::CreditAlphanum4(a) => Some((code_text(&a.asset_code.0), &a.issuer)),
        Asset::CreditAlphanum12(a) => Some((code_text(&a.asset_code.0), &a.issuer)),
    }
}

/// Reads the text form of an asset.
pub fn parse_asset(text: &str) -> Result<Asset, AssetError> {
    if text == "native" {
        return Ok(Asset::Native);
    }
    let (code, issuer) = text
        .split_once(':')
        .ok_or_else(|| AssetError::Form(text.to_owned()))?;
    let alnum = code.bytes().all(|b| b.is_ascii_alphanumeric());
    if !alnum || code.is_empty() || code.len() > 12 {
        return Err(AssetError::Code(code.to_owned()));
    }
    let issuer: AccountId = issuer
        .parse()
        .map_err(|_| AssetError::Issuer(issuer.to_owned()))?;
    if code.len() <= 4 {
        let asset_code = AssetCode4(padded(code));
        Ok(Asset::CreditAlphanum4(AlphaNum4 { asset_code, issuer }))
    } else {
        let asset_code = AssetCode12(padded(code));
        Ok(Asset::CreditAlphanum12(AlphaNum12 { asset_code, issuer }))
    }
}

/// Whether the code is well formed (letters and digits, then zeros; long codes above 4).
pub(crate) fn is_valid(asset: &Asset) -> bool {
    match asset {
        Asset::Native => true,
        Asset::CreditAlphanum4(a) => code_len(&a.asset_code.0).is_some_and(|len| len >= 1),
        Asset::CreditAlphanum12(a) => code_len(&a.asset_code.0).is_some_and(|len| len >= 5),
    }
}

fn padded<const N: usize>(code: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..code.len()].copy_from_slice(code.as_bytes());
    bytes
}

fn code_len(code: &[u8]) -> Option<usize> {
    let len = code.iter().position(|b| *b == 0).unwrap_or(code.len());
    let (name, padding) = code.split_at(len);
    let well_formed = name.iter().all(u8::is_ascii_alphanumeric) && padding.iter().all(|b| *b == 0);
    well_formed.then_some(len)
}

fn code_text(code: &[u8]) -> String {
    let name: Vec<u8> = code.iter().copied().take_while(|b| *b != 0).collect();
    String::from_utf8_lossy(&name).into_owned()
}
