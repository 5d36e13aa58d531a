//! What can be done about a payment that failed, by the ledger's code.

/// A short word of advice.
pub fn advice(reason: &str) -> &'static str {
    match reason {
        "op_no_destination" => "the receiver must create the account first",
        "op_no_trust" => "the receiver must trust the asset first",
        "op_not_authorized" => "the issuer must authorise the receiver",
        "op_line_full" => "the receiver must raise the limit of the trust line",
        "op_no_issuer" => "the issuer's account is gone: choose another asset",
        "op_underfunded" | "tx_insufficient_balance" => "fund the treasury or the fee account",
        "op_src_no_trust" => "the treasury must trust the asset",
        "op_src_not_authorized" => "the issuer must authorise the treasury",
        "op_malformed" => "the operation is malformed: submit it anew",
        "tx_bad_auth" | "tx_bad_auth_extra" => "check the signer's keys and the network passphrase",
        "tx_no_source_account" => "the channel or the treasury is not on the ledger",
        _ => "look the code up in Stellar's result codes",
    }
}
