//! `stellara cluster members`.

use stellara_client::api::ListMembersResponse;

use crate::args::{Global, Output};
use crate::failure::Failure;
use crate::output::{self, json, print_json, word};

const COLUMNS: &[&str] = &[
    "node", "region", "role", "votes", "public", "peer", "matched",
];

pub async fn run(global: &Global) -> Result<(), Failure> {
    let members = global.client()?.list_members().await?;
    if global.output == Output::Json {
        let response = ListMembersResponse { members };
        return print_json(&json("ListMembersResponse", &response)?);
    }
    let mut list = output::List::new(global.output, ("Member", "members"), COLUMNS);
    for member in &members {
        let row = vec![
            member.node_id.to_string(),
            member.region.clone(),
            word(member.role().as_str_name(), "MEMBER_ROLE_"),
            if member.voter { "yes" } else { "no" }.to_owned(),
            member.public_address.clone(),
            member.peer_address.clone(),
            member.matched_index.to_string(),
        ];
        list.item(member, row)?;
    }
    list.finish("")
}
