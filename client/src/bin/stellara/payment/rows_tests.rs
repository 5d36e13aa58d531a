//! Files as people write them.

use std::io::Cursor;

use super::*;

const TO: &str = "GBRPYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H";

/// The rows of a text: line and key, or line and the field at fault. `TO` stands for an account.
fn check(format: Format, text: &str) -> Vec<(u64, String)> {
    let input = Cursor::new(text.replace("TO", TO).into_bytes());
    let mut rows = Rows::new(Box::new(input), format).unwrap();
    let mut read = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let word = match row.payment {
            Ok(payment) => payment.idempotency_key,
            Err(ClientError::InvalidField { field, .. }) => format!("! {field}"),
            Err(other) => other.to_string(),
        };
        read.push((row.line, word));
    }
    read
}

fn keys(format: Format, text: &str) -> Vec<String> {
    check(format, text)
        .into_iter()
        .map(|(_, key)| key)
        .collect()
}

#[test]
fn keys_follow_from_contents_whatever_the_writing() {
    let csv = keys(
        Format::Csv,
        "destination,asset,amount,memo_id,reference\nTO,native,1,7,a\nTO,native,1,7,a\nTO,native,2,7,a\n",
    );
    let reordered = keys(
        Format::Csv,
        "amount, asset,reference,destination,memo_id\r\n\"1\",native,\"a\",TO,7\r\n1,native,a,TO,7\r\n2,native,a,TO,7\r\n",
    );
    let json = keys(
        Format::Jsonl,
        r#"{"destination":"TO","asset":"native","amount":"1","memo_id":7,"reference":"a"}

{"reference":"a","destination":"TO","asset":"native","amount":"1","memoId":"7"}
{"destination":"TO","asset":"native","amount":"2","memo_id":7,"reference":"a"}"#,
    );
    assert_eq!(csv, reordered);
    assert_eq!(csv, json);
    assert!(csv[0].ends_with("-0") && csv[1].ends_with("-1"));
    assert_eq!(csv[0][..36], csv[1][..36]);
    assert_ne!(csv[0][..36], csv[2][..36]);
}

#[test]
fn a_key_in_the_file_is_kept() {
    let text = "destination,asset,amount,idempotency_key\nTO,native,1,mine\n";
    assert_eq!(keys(Format::Csv, text), ["mine"]);
}

#[test]
fn errors_name_the_line_and_the_field() {
    let csv = check(
        Format::Csv,
        "destination,asset,amount,priority\nTO,native,x,\nTO,native,1\nTO,native,1,soon\n\nTO,gold,1,high\n",
    );
    let expected = [
        (2, "! amount".to_owned()),
        (3, "! row".to_owned()),
        (4, "! priority".to_owned()),
        (6, "! asset".to_owned()),
    ];
    assert_eq!(csv, expected);
    let json = check(
        Format::Jsonl,
        "{\"destination\":\n\n{\"amount\":1.5}\n{\"dest\":\"TO\"}\n{}\n{\"memo_text\":\"a\",\"memo_id\":-1}",
    );
    let expected = [
        (1, "! row".to_owned()),
        (3, "! row".to_owned()),
        (4, "! row".to_owned()),
        (5, "! destination".to_owned()),
        (6, "! memo_id".to_owned()),
    ];
    assert_eq!(json, expected);
}

#[test]
fn a_line_without_end_is_refused_and_skipped() {
    let endless = "x".repeat(3 * 64 * 1024);
    let text =
        format!("{endless}\n{{\"destination\":\"TO\",\"asset\":\"native\",\"amount\":\"1\"}}");
    let read = check(Format::Jsonl, &text);
    assert_eq!(read[0], (1, "! row".to_owned()));
    assert_eq!(read[1].0, 2);
    assert!(read[1].1.starts_with("row-"));
}

#[test]
fn the_header_is_checked_first() {
    let open = |text: &str| {
        let input = Cursor::new(text.to_owned().into_bytes());
        Rows::new(Box::new(input), Format::Csv)
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default()
    };
    assert!(open("destination,asset,amout\n").contains("\"amout\" is not known"));
    assert!(open("destination,asset\n").contains("\"amount\" is missing"));
    assert_eq!(open("destination,asset,amount\n"), "");
}
